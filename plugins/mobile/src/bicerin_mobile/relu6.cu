extern "C" __global__ void forward(int n, const real* x, real slope, real* y) {
  ELEMENT(i, n);
  // Without a slope even -inf becomes 0; NaN stays NaN.
  const real value = x[i] <= 0 ? (slope != 0 ? x[i] * slope : (real)0) : x[i];
  y[i] = value > 6 ? (real)6 : value;
}

extern "C" __global__ void backward(int n, const real* x, real slope, const real* y_diff, real* x_diff) {
  ELEMENT(i, n);
  x_diff[i] = y_diff[i] * (x[i] <= 0 ? slope : x[i] < 6 ? (real)1 : (real)0);
}
