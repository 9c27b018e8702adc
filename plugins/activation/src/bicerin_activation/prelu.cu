// PReLU of (outer, channels, inner), one slope a channel, or one for all.

extern "C" __global__ void forward(int n, const real* x, const real* slope, bool shared, real* y, int channels,
                                   int inner) {
  ELEMENT(i, n);
  y[i] = x[i] > 0 ? x[i] : x[i] * slope[shared ? 0 : i / inner % channels];
}

extern "C" __global__ void backward(int n, const real* x, const real* slope, bool shared, const real* y_diff,
                                    real* x_diff, int channels, int inner) {
  ELEMENT(i, n);
  x_diff[i] = x[i] > 0 ? y_diff[i] : y_diff[i] * slope[shared ? 0 : i / inner % channels];
}

// The sum of min(x, 0) * y_diff over each channel, a block's work.
extern "C" __global__ void slope_gradient(const real* x, const real* y_diff, real* sums, int outer, int channels,
                                          int inner) {
  real sum = 0;
  for (int i = threadIdx.x; i < outer * inner; i += BLOCK) {
    const int at = (i / inner * channels + blockIdx.x) * inner + i % inner;
    sum += (x[at] > 0 ? (real)0 : x[at]) * y_diff[at];  // NaN stays NaN, as it would not in min()
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}
