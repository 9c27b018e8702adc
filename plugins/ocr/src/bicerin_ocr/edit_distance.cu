// How many insertions, deletions and changes make one sequence of another, by the length of the longer one. Sequences
// are followed by -1. A thread has a pair of them, and a row of the table.
extern "C" __global__ void edit_distances(int n, const int* found, const int* wanted, int* rows, real* shares, int steps,
                                          int most) {
  ELEMENT(k, n);
  const int* one = found + (long long)k * steps;
  const int* other = wanted + (long long)k * most;
  int* row = rows + (long long)k * (most + 1);
  int first = 0, second = 0;
  while (first < steps && one[first] >= 0) ++first;
  while (second < most && other[second] >= 0) ++second;
  for (int j = 0; j <= second; ++j) row[j] = j;
  for (int i = 0; i < first; ++i) {
    int corner = row[0];
    row[0] = i + 1;
    for (int j = 0; j < second; ++j) {
      const int changed = corner + (one[i] == other[j] ? 0 : 1);
      corner = row[j + 1];
      row[j + 1] = min(changed, min(corner, row[j]) + 1);
    }
  }
  shares[k] = (real)row[second] / max(max(first, second), 1);
}
