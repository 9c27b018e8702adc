// Kernels for the tests of the emulator: right ones, and the same with faults planted in them.

extern "C" __global__ void double_up(int n, const real* x, real* y) {
  ELEMENT(i, n);
  y[i] = 2 * x[i];
}

extern "C" __global__ void row_sums(int columns, const real* x, real* sums) {
  real sum = 0;
  for (int i = threadIdx.x; i < columns; i += BLOCK) sum += x[blockIdx.x * columns + i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

extern "C" __global__ void row_sums_without_barrier(int columns, const real* x, real* sums) {
  __shared__ real parts[BLOCK];
  real sum = 0;
  for (int i = threadIdx.x; i < columns; i += BLOCK) sum += x[blockIdx.x * columns + i];
  parts[threadIdx.x] = sum;
  __syncthreads();
  for (int half = BLOCK / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];  // too early
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = parts[0];
}

extern "C" __global__ void scatter(int n, const int* index, const real* x, real* total) {
  ELEMENT(i, n);
  atomicAdd(&total[index[i]], x[i]);
}

extern "C" __global__ void scatter_without_atomics(int n, const int* index, const real* x, real* total) {
  ELEMENT(i, n);
  total[index[i]] += x[i];
}

extern "C" __global__ void divergent(real* y) {
  if (threadIdx.x < 7) __syncthreads();
  y[0] = 1;
}
