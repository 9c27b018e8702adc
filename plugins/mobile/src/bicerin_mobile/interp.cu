// Bilinear interpolation of planes (P, height, width), of which (inner_h, inner_w) from pixel (start, start) on are used,
// to (P, size_h, size_w). step_h and step_w are how far apart rows and columns of the result lie.

// The pixel before place i along one axis, and how far on to the next it is.
__device__ inline int before(int i, real step, int inner, real* part) {
  const int first = min((int)(i * step), inner - 1);
  *part = i * step - first;
  return first;
}

extern "C" __global__ void interpolate(int n, const real* x, real* y, int height, int width, int start, int inner_h,
                                       int inner_w, int size_h, int size_w, real step_h, real step_w) {
  ELEMENT(i, n);
  real down, right;
  const int h = before(i / size_w % size_h, step_h, inner_h, &down), w = before(i % size_w, step_w, inner_w, &right);
  const real* upper = x + (i / size_w / size_h * height + start + h) * width + start + w;
  const real* lower = upper + (h + 1 < inner_h ? width : 0);
  const int next = w + 1 < inner_w ? 1 : 0;
  const real left_part = (1 - down) * upper[0] + down * lower[0];
  const real right_part = (1 - down) * upper[next] + down * lower[next];
  y[i] = (1 - right) * left_part + right * right_part;
}

extern "C" __global__ void interpolate_backward(int n, const real* y_diff, real* x_diff, int height, int width,
                                                int start, int inner_h, int inner_w, int size_h, int size_w,
                                                real step_h, real step_w) {
  ELEMENT(i, n);
  real down, right;
  const int h = before(i / size_w % size_h, step_h, inner_h, &down), w = before(i % size_w, step_w, inner_w, &right);
  real* upper = x_diff + (i / size_w / size_h * height + start + h) * width + start + w;
  real* lower = upper + (h + 1 < inner_h ? width : 0);
  const int next = w + 1 < inner_w ? 1 : 0;
  atomicAdd(&upper[0], (1 - down) * (1 - right) * y_diff[i]);
  atomicAdd(&upper[next], (1 - down) * right * y_diff[i]);
  atomicAdd(&lower[0], down * (1 - right) * y_diff[i]);
  atomicAdd(&lower[next], down * right * y_diff[i]);
}
