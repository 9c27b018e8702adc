// The gradients of scale and shift of (outer, dim, inner) along its middle axis: sums[0] and sums[1] of (2, dim).
// Block d has element d of both.
extern "C" __global__ void sums(const real* x, const real* y_diff, real* sums, int outer, int dim, int inner) {
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
    sums[d] = products;
    sums[dim + d] = sum;
  }
}
