// The random bits of an element: a hash of its index, mixed with the 64 bits of a pass's key. The finalizer is C.
// Wellons', "Prospecting for hash functions", 2018.
__device__ inline unsigned int hash_bits(unsigned int index, unsigned int key_0, unsigned int key_1) {
  unsigned int bits = index ^ key_0;
  bits = (bits ^ (bits >> 16)) * 0x7FEB352Du;
  bits = (bits ^ (bits >> 15) ^ key_1) * 0x846CA68Bu;
  return bits ^ (bits >> 16);
}

// y = x * scale where the element's random bits reach the threshold, else 0: the mask of dropout_kernels.py.
extern "C" __global__ void drop(int n, const real* x, unsigned int key_0, unsigned int key_1, unsigned int threshold,
                                real scale, real* y) {
  ELEMENT(i, n);
  y[i] = hash_bits(i, key_0, key_1) >= threshold ? x[i] * scale : (real)0;
}
