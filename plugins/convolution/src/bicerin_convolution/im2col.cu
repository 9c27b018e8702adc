// im2col and col2im of images (N, C, spatial...) and columns (N, C, kernel..., output...), and the bias. A thread
// computes one element of what is written; col2im sums what overlaps, so that no two threads write to one place.

extern "C" __global__ void im2col(int n, const real* x, real* columns, int height, int width, int output_h,
                                  int output_w, int kernel_h, int kernel_w, int stride_h, int stride_w, int pad_h,
                                  int pad_w, int dilation_h, int dilation_w) {
  ELEMENT(i, n);
  const int b = i % output_w, a = i / output_w % output_h, offset = i / output_w / output_h;
  const int h = a * stride_h - pad_h + offset / kernel_w % kernel_h * dilation_h;
  const int w = b * stride_w - pad_w + offset % kernel_w * dilation_w;
  const bool inside = h >= 0 && h < height && w >= 0 && w < width;
  columns[i] = inside ? x[(offset / kernel_w / kernel_h * height + h) * width + w] : (real)0;
}

extern "C" __global__ void col2im(int n, const real* columns, real* x, int height, int width, int output_h,
                                  int output_w, int kernel_h, int kernel_w, int stride_h, int stride_w, int pad_h,
                                  int pad_w, int dilation_h, int dilation_w) {
  ELEMENT(i, n);
  const int w = i % width + pad_w, h = i / width % height + pad_h;
  columns += (long long)(i / width / height) * kernel_h * kernel_w * output_h * output_w;
  real sum = 0;
  for (int p = 0; p < kernel_h; ++p) {
    const int a = h - p * dilation_h;
    if (a < 0 || a % stride_h || a / stride_h >= output_h) continue;
    for (int q = 0; q < kernel_w; ++q) {
      const int b = w - q * dilation_w;
      if (b < 0 || b % stride_w || b / stride_w >= output_w) continue;
      sum += columns[((p * kernel_w + q) * output_h + a / stride_h) * output_w + b / stride_w];
    }
  }
  x[i] = sum;
}

// For any number of spatial axes; of each, `sizes` has input, output, kernel, stride, pad and dilation.
#define AXIS(axis) \
  const int *s = sizes + 6 * (axis), input = s[0], output = s[1], kernel = s[2], stride = s[3], pad = s[4], dilation = s[5]

extern "C" __global__ void im2col_axes(int n, const real* x, real* columns, const int* sizes, int axes) {
  ELEMENT(i, n);
  int outputs = 1;
  for (int axis = 0; axis < axes; ++axis) outputs *= sizes[6 * axis + 1];
  int position = i % outputs, offset = i / outputs, place = 0, step = 1;
  bool inside = true;
  for (int axis = axes - 1; axis >= 0; --axis) {
    AXIS(axis);
    const int at = position % output * stride - pad + offset % kernel * dilation;
    inside = inside && at >= 0 && at < input;
    place += at * step;
    step *= input;
    position /= output;
    offset /= kernel;
  }
  columns[i] = inside ? x[offset * step + place] : (real)0;
}

extern "C" __global__ void col2im_axes(int n, const real* columns, real* x, const int* sizes, int axes) {
  ELEMENT(i, n);
  int inputs = 1, kernels = 1, outputs = 1;
  for (int axis = 0; axis < axes; ++axis) {
    inputs *= sizes[6 * axis];
    outputs *= sizes[6 * axis + 1];
    kernels *= sizes[6 * axis + 2];
  }
  columns += (long long)(i / inputs) * kernels * outputs;
  real sum = 0;
  for (int offset = 0; offset < kernels; ++offset) {
    int place = i % inputs, rest = offset, position = 0, step = 1;
    bool seen = true;
    for (int axis = axes - 1; axis >= 0; --axis) {
      AXIS(axis);
      const int at = place % input + pad - rest % kernel * dilation;
      seen = seen && at >= 0 && at % stride == 0 && at / stride < output;
      position += at / stride * step;
      step *= output;
      place /= input;
      rest /= kernel;
    }
    if (seen) sum += columns[offset * outputs + position];
  }
  x[i] = sum;
}

extern "C" __global__ void add_bias(int n, const real* bias, real* y, int channels, int positions) {
  ELEMENT(i, n);
  y[i] += bias[i / positions % channels];
}

// bias_diff += the sum of a channel over images and positions, a block's work.
extern "C" __global__ void bias_gradient(const real* y_diff, real* bias_diff, int num, int channels, int positions) {
  real sum = 0;
  for (int i = threadIdx.x; i < num * positions; i += BLOCK)
    sum += y_diff[(i / positions * channels + blockIdx.x) * positions + i % positions];
  sum = block_sum(sum);
  if (threadIdx.x == 0) bias_diff[blockIdx.x] += sum;
}
