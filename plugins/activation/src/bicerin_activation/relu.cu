extern "C" __global__ void forward(int n, const real* x, real slope, real* y) {
  ELEMENT(i, n);
  // With a slope of 0 too, what compares as neither stays: NaN is NaN, and -inf is 0.
  y[i] = x[i] > 0 ? x[i] : slope == 0 && x[i] <= 0 ? (real)0 : x[i] * slope;
}

extern "C" __global__ void backward(int n, const real* x, real slope, const real* y_diff, real* x_diff) {
  ELEMENT(i, n);
  x_diff[i] = x[i] > 0 ? y_diff[i] : y_diff[i] * slope;
}
