// LRN: y = x * s^-beta, s = shift + rate * (sum of x^2 over the neighbourhood). With r = y_diff * x * s^-beta / s the
// gradient is y_diff * s^-beta - 2 * rate * beta * x * (sum of r over the neighbourhood). A thread computes one element.

// The sum of x^2, or of values, over `size` channels around element i of (N, channels, pixels).
__device__ inline real channel_sum(const real* values, int i, int channels, int pixels, int size, bool squared) {
  const int c = i / pixels % channels;
  real sum = 0;
  for (int near = max(c - size / 2, 0); near < min(c + size / 2 + 1, channels); ++near) {
    const real value = values[i + (near - c) * pixels];
    sum += squared ? value * value : value;
  }
  return sum;
}

// As channel_sum, over `size` x `size` pixels around element i of (planes, height, width).
__device__ inline real box_sum(const real* values, int i, int height, int width, int size, bool squared) {
  const int w = i % width, h = i / width % height;
  real sum = 0;
  for (int a = max(h - size / 2, 0); a < min(h + size / 2 + 1, height); ++a) {
    for (int b = max(w - size / 2, 0); b < min(w + size / 2 + 1, width); ++b) {
      const real value = values[i + (a - h) * width + b - w];
      sum += squared ? value * value : value;
    }
  }
  return sum;
}

extern "C" __global__ void across(int n, const real* x, real* y, real* scale, bool keep, int channels, int pixels,
                                  int size, real rate, real beta, real shift) {
  ELEMENT(i, n);
  const real s = shift + rate * channel_sum(x, i, channels, pixels, size, true);
  if (keep) scale[i] = s;
  y[i] = x[i] * pow(s, -beta);
}

extern "C" __global__ void within(int n, const real* x, real* y, real* scale, bool keep, int height, int width,
                                  int size, real rate, real beta, real shift) {
  ELEMENT(i, n);
  const real s = shift + rate * box_sum(x, i, height, width, size, true);
  if (keep) scale[i] = s;
  y[i] = x[i] * pow(s, -beta);
}

extern "C" __global__ void ratios(int n, const real* x, const real* scale, const real* y_diff, real* ratio, real beta) {
  ELEMENT(i, n);
  ratio[i] = y_diff[i] * x[i] * pow(scale[i], -beta) / scale[i];
}

extern "C" __global__ void across_backward(int n, const real* x, const real* scale, const real* y_diff,
                                           const real* ratio, real* x_diff, int channels, int pixels, int size,
                                           real rate, real beta) {
  ELEMENT(i, n);
  const real sum = channel_sum(ratio, i, channels, pixels, size, false);
  x_diff[i] = y_diff[i] * pow(scale[i], -beta) - 2 * rate * beta * x[i] * sum;
}

extern "C" __global__ void within_backward(int n, const real* x, const real* scale, const real* y_diff,
                                           const real* ratio, real* x_diff, int height, int width, int size, real rate,
                                           real beta) {
  ELEMENT(i, n);
  const real sum = box_sum(ratio, i, height, width, size, false);
  x_diff[i] = y_diff[i] * pow(scale[i], -beta) - 2 * rate * beta * x[i] * sum;
}
