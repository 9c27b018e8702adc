// The sum of min(x, 0) * y_diff over each channel of (outer, channels, inner), a block's work.
extern "C" __global__ void slope_sums(const real* x, const real* y_diff, real* sums, int outer, int channels,
                                      int inner) {
  real sum = 0;
  for (int i = threadIdx.x; i < outer * inner; i += BLOCK) {
    const int at = (i / inner * channels + blockIdx.x) * inner + i % inner;
    sum += (x[at] > 0 ? (real)0 : x[at]) * y_diff[at];  // NaN stays NaN, as it would not in min()
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}
