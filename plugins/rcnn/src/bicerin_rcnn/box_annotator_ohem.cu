// Regions are (number, pixels); of blobs with channels, (number, channels, pixels).

// Keeps the label of a region that fewer than `most` of its image come before: those of greater loss, and of an equal one
// the first. NaN comes last. A thread has a region.
extern "C" __global__ void hardest(int n, const real* regions, const real* losses, const real* labels, int* kept,
                                   real* kept_labels, int pixels, int most, real ignored) {
  ELEMENT(i, n);
  const long long image = (long long)regions[i / pixels * 5 * pixels + i % pixels];
  const real loss = losses[i];
  int before = 0;
  for (int j = 0; j < n; ++j) {
    if ((long long)regions[j / pixels * 5 * pixels + j % pixels] != image) continue;
    const real other = losses[j];
    const bool greater = other > loss || (loss != loss && other == other);
    const bool equal = other == loss || (loss != loss && other != other);
    before += greater || (equal && j < i);
  }
  kept[i] = before < most;
  kept_labels[i] = before < most ? labels[i] : ignored;
}

// The weights of regions that are kept, else 0.
extern "C" __global__ void keep_weights(int n, const int* kept, const real* weights, real* kept_weights, int channels,
                                        int pixels) {
  ELEMENT(i, n);
  kept_weights[i] = kept[i / pixels / channels * pixels + i % pixels] ? weights[i] : (real)0;
}
