// What every .cu file may use, besides CUDA C. `real` is float or double, as the layer's dtype; BLOCK is the number of
// threads of a block. All of it is put before the file by bicerin.device.cuda.

#ifndef NAN  // NVRTC comes without C's headers
#define NAN __int_as_float(0x7fffffff)
#endif

// In a kernel of one thread an element: i is the thread's element, of 0 to n - 1; threads beyond have nothing to do.
// Near 2^31 elements, those of the last block are beyond what an int holds.
#define ELEMENT(i, n) \
  const int i = blockIdx.x * BLOCK + threadIdx.x; \
  if (i < 0 || i >= (n)) return

// A block's threads each give a value; all of them get the sum. Every thread of the block must call it.
__device__ inline real block_sum(real value) {
  __shared__ real parts[BLOCK];
  __syncthreads();  // the result of the call before may still be read
  parts[threadIdx.x] = value;
  __syncthreads();
  for (int half = BLOCK / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
    __syncthreads();
  }
  return parts[0];
}

// As block_sum, for the largest value.
__device__ inline real block_max(real value) {
  __shared__ real parts[BLOCK];
  __syncthreads();
  parts[threadIdx.x] = value;
  __syncthreads();
  for (int half = BLOCK / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) parts[threadIdx.x] = max(parts[threadIdx.x], parts[threadIdx.x + half]);
    __syncthreads();
  }
  return parts[0];
}
