// Items of `inner` elements, by an index of 0 to batch - 1 for each; a thread has one element of the reindexed batch.

extern "C" __global__ void gather(int n, const real* x, const real* index, real* y, int batch, int inner) {
  ELEMENT(i, n);
  const real item = index[i / inner];
  y[i] = item >= 0 && item < batch ? x[(int)item * inner + i % inner] : (real)NAN;
}

// An item may have several places, whose gradients add up.
extern "C" __global__ void scatter(int n, const real* y_diff, const real* index, real* x_diff, int batch, int inner) {
  ELEMENT(i, n);
  const real item = index[i / inner];
  if (item >= 0 && item < batch) atomicAdd(&x_diff[(int)item * inner + i % inner], y_diff[i]);
}
