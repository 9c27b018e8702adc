// MyLayer over (outer, channels, inner). `real` is float or double, as the net's dtype.

extern "C" __global__ void forward(int n, const real* x, const real* weight, real* shrunk, real* y, real threshold,
                                   int channels, int inner) {
  ELEMENT(i, n);
  const real size = max((x[i] < 0 ? -x[i] : x[i]) - threshold, (real)0);
  shrunk[i] = x[i] < 0 ? -size : size;
  y[i] = shrunk[i] * weight[i / inner % channels];
}

extern "C" __global__ void backward(int n, const real* shrunk, const real* weight, const real* y_diff, real* x_diff,
                                    int channels, int inner) {
  ELEMENT(i, n);
  x_diff[i] = shrunk[i] != 0 ? y_diff[i] * weight[i / inner % channels] : (real)0;
}

// Adds to the gradient of each weight; a block does one channel.
extern "C" __global__ void weight_gradient(const real* shrunk, const real* y_diff, real* weight_diff, int outer,
                                           int channels, int inner) {
  real sum = 0;
  for (int i = threadIdx.x; i < outer * inner; i += BLOCK) {
    const int at = (i / inner * channels + blockIdx.x) * inner + i % inner;
    sum += shrunk[at] * y_diff[at];
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) weight_diff[blockIdx.x] += sum;
}
