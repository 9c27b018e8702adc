// Labels as class indices, and which scores they beat. A thread has one label.

// labels = each value truncated, or -1; counts[0] goes up for each that counts, counts[1] for each that
// is neither a class nor ignored.
extern "C" __global__ void read_labels(int n, const real* values, int classes, bool ignores, int ignored, int* labels,
                                       int* counts) {
  ELEMENT(i, n);
  // False for NaN, and for what an int cannot hold.
  const bool whole = fabs(values[i]) < (real)2147483648.0;
  const int label = whole ? (int)values[i] : -1;
  const bool skipped = whole && ignores && label == ignored;
  const bool right = !skipped && label >= 0 && label < classes;
  labels[i] = right ? label : -1;
  if (!skipped) atomicAdd(&counts[right ? 0 : 1], 1);
}

// 1 where fewer than top_k other classes score as much as the label's or more, else 0; scores are
// (outer, classes, inner).
extern "C" __global__ void right_labels(int n, const real* scores, const int* labels, real* right, int top_k,
                                        int classes, int inner) {
  ELEMENT(i, n);
  right[i] = 0;
  if (labels[i] < 0) return;
  const int first = i / inner * classes * inner + i % inner;
  const real chosen = scores[first + labels[i] * inner];
  int as_good = 0;
  for (int k = 0; k < classes; ++k) as_good += scores[first + k * inner] >= chosen;
  // A NaN score is not even as good as itself.
  right[i] = as_good > 0 && as_good <= top_k;
}

// How many labels each class has, and how many of them are right.
extern "C" __global__ void count_by_class(int n, const int* labels, const real* right, real* seen, real* hits) {
  ELEMENT(i, n);
  if (labels[i] < 0) return;
  atomicAdd(&seen[labels[i]], (real)1);
  atomicAdd(&hits[labels[i]], right[i]);
}
