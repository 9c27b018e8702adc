// y = x * scale where the element's random bits reach the threshold, else 0: the mask of dropout_kernels.py.
extern "C" __global__ void drop(int n, const real* x, unsigned int key_0, unsigned int key_1, unsigned int threshold,
                                real scale, real* y) {
  ELEMENT(i, n);
  y[i] = hash_bits(i, key_0, key_1) >= threshold ? x[i] * scale : (real)0;
}
