// Scale and shift of (outer, dim, inner) along its middle axis.

extern "C" __global__ void forward(int n, const real* x, const real* scale, const real* bias, bool biased, real* y,
                                   int dim, int inner) {
  ELEMENT(i, n);
  const int d = i / inner % dim;
  y[i] = x[i] * scale[d] + (biased ? bias[d] : (real)0);
}

extern "C" __global__ void backward(int n, const real* y_diff, const real* scale, real* x_diff, int dim, int inner) {
  ELEMENT(i, n);
  x_diff[i] = y_diff[i] * scale[i / inner % dim];
}

// The gradients of scale and bias; block d has element d of them.
extern "C" __global__ void sums(const real* x, const real* y_diff, real* scale_diff, real* bias_diff, int outer,
                                int dim, int inner) {
  const int d = blockIdx.x;
  real sum = 0, products = 0;
  for (int i = threadIdx.x; i < outer * inner; i += BLOCK) {
    const int at = (i / inner * dim + d) * inner + i % inner;
    sum += y_diff[at];
    products += y_diff[at] * x[at];
  }
  sum = block_sum(sum);
  products = block_sum(products);
  if (threadIdx.x == 0) {
    scale_diff[d] = products;
    bias_diff[d] = sum;
  }
}
