// The places in `kept` of rows (image, label, score, x, y, width, height) that overlap with no better one of their image
// by `threshold` or more, and how many they are. `order` is by image, the best score first; `dropped` is zeros. One
// block: when a row is kept, its threads look at those after it.
extern "C" __global__ void suppress(const real* rows, const int* order, int* dropped, int* kept, int* found,
                                    real threshold, int count) {
  int number = 0;
  for (int i = 0; i < count; ++i) {
    const real* one = rows + 7ll * order[i];
    if (one[2] < 0 || dropped[i]) continue;
    if (threadIdx.x == 0) kept[number] = order[i];
    ++number;
    for (int j = i + 1 + threadIdx.x; j < count; j += BLOCK) {
      const real* other = rows + 7ll * order[j];
      if (other[0] != one[0] || other[2] < 0) break;
      if (overlap(one[3], one[4], one[5], one[6], other[3], other[4], other[5], other[6]) >= threshold) dropped[j] = 1;
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) found[0] = number;
}
