// The loss of boxes and their classes, step by step as multibox_loss.py has it. `matched` is (images, classes, places):
// the row of the ground truth that a box matches, or less than 0; locations are (images, places, classes, 4), scores
// (images, places, classes). What the CPU refuses is counted in `faults`.

// A number as an int, truncated, or -1 for an invalid one.
__device__ inline int whole(real value) { return fabs(value) < (real)1e9 ? (int)value : -1; }

// Of each row of 8 numbers, see ground_truth.py: its image, or `number` where it does not count; its label; and the
// class that is to be predicted, which is `agnostic` where that is not -1.
extern "C" __global__ void read_truth(int n, const real* rows, int* images, int* labels, int* targets, int* faults,
                                      bool use_difficult, int background, int classes, int agnostic, int number) {
  ELEMENT(i, n);
  const real* row = rows + i * 8;
  images[i] = number;
  labels[i] = targets[i] = -1;
  if (row[0] > -2 && row[0] <= -1) return;
  const int label = whole(row[1]);
  if (label == background) atomicAdd(faults, 1);
  if (!use_difficult && !(fabs(row[7]) < 1)) return;
  if (agnostic < 0 && (label < 0 || label >= classes)) {
    atomicAdd(faults, 1);
    return;
  }
  labels[i] = label;
  targets[i] = agnostic < 0 ? label : agnostic;
  if (row[0] > -1 && row[0] < number) images[i] = (int)row[0];
}

// Matches of (images, places), each put at the class of its row; `apart` is UNMATCHED at first. A thread has a box.
extern "C" __global__ void spread_by_class(int n, const int* matched, const int* labels, int* apart, int places,
                                           int classes) {
  ELEMENT(i, n);
  if (matched[i] < 0) return;
  const int label = labels[matched[i]];
  if (label >= 0 && label < classes) apart[(i / places * classes + label) * places + i % places] = matched[i];
}

// Location losses of matches, (images, classes, places), and their derivatives, of the locations' shape: 0 where there is
// no match. `code` as in boxes.cu; `reach` is what `inside` looks at, the priors where `by_prior`. The priors of one
// image are `image_step` from those of the next, 0 where all have the same.
extern "C" __global__ void location_losses(int n, const real* locations, const real* priors, const real* variances,
                                           const real* reach, const real* truths, const int* matched, real* losses,
                                           real* diff, int* faults, int code, bool encoded, bool smooth, bool inside,
                                           bool by_prior, int image_step, int places, int classes) {
  ELEMENT(i, n);
  const int place = i % places, at = ((i / places / classes * places + place) * classes + i / places % classes) * 4;
  losses[i] = 0;
  for (int k = 0; k < 4; ++k) diff[at + k] = 0;
  if (matched[i] < 0) return;
  const real* prior = priors + i / places / classes * image_step + place * 4;
  const real* variance = variances + place * 4;
  const real* truth = truths + matched[i] * 8 + 3;
  real right[4];
  for (int k = 0; k < 4; ++k) right[k] = truth[k] - prior[k];
  if (code != 1) {
    for (int k = 0; k < 2; ++k) {
      const real extent = prior[k + 2] - prior[k], own = truth[k + 2] - truth[k];
      if (!(extent > 0) || (code == 2 && !(own > 0))) atomicAdd(faults, 1);
      if (code == 2) {
        right[k] = ((truth[k] + truth[k + 2]) / 2 - (prior[k] + prior[k + 2]) / 2) / extent;
        right[k + 2] = log(own / extent);
      } else {
        right[k] /= extent;
        right[k + 2] /= extent;
      }
    }
  }
  const real* limits = by_prior ? prior : reach + at;
  for (int k = 0; k < 4; ++k) {
    if (!encoded) {
      if (variance[k] <= 0) atomicAdd(faults, 1);
      right[k] /= variance[k];
    }
    real difference = locations[at + k] - right[k];
    if (inside && (limits[k] < 0 || limits[k] > 1)) difference = 0;
    if (encoded) difference /= variance[k];
    const real size = fabs(difference);
    losses[i] += smooth && size >= 1 ? size - (real)0.5 : (real)0.5 * (difference * difference);
    diff[at + k] = !smooth || !(size > 1) ? difference : difference > 0 ? (real)1 : (real)-1;
  }
}

// The class that each box of (images, places) is to be predicted as: that of its last match, or -1.
extern "C" __global__ void box_labels(int n, const int* matched, const int* targets, int* labels, int places,
                                      int classes) {
  ELEMENT(i, n);
  labels[i] = -1;
  const int first = i / places * classes * places + i % places;
  for (int k = 0; k < classes; ++k)
    if (matched[first + k * places] >= 0) labels[i] = targets[matched[first + k * places]];
}

// Softmax of each box's scores: -log of the label's probability, which is at least `least`, and the derivatives.
// Without a label it is the background's.
extern "C" __global__ void softmax_losses(int n, const real* scores, const int* labels, real* losses, real* diff,
                                          int background, int classes, real least) {
  ELEMENT(i, n);
  const real* row = scores + i * classes;
  real* own = diff + i * classes;
  const int label = labels[i] < 0 ? background : labels[i];
  real top = row[0];
  for (int k = 1; k < classes; ++k) top = max(top, row[k]);
  real total = 0;
  for (int k = 0; k < classes; ++k) {
    own[k] = exp(row[k] - top);
    total += own[k];
  }
  for (int k = 0; k < classes; ++k) own[k] /= total;
  losses[i] = -log(own[label] < least ? least : own[label]);  // NaN stays NaN
  own[label] -= 1;
}

// marks = 1 at the class of each match, (images, places, classes), zeros at first; and, where that is 0 or more, at the
// background of boxes without one. `step` is how far the marks of one place are from those of the next image.
extern "C" __global__ void mark_classes(int n, const int* matched, const int* targets, int* marks, int background,
                                        int step, int places, int groups, int classes) {
  ELEMENT(i, n);
  const int label = matched[i] < 0 ? background : targets[matched[i]];
  // Several places may be one.
  if (label >= 0 && label < classes) atomicExch(&marks[i / places / groups * step + i % places * classes + label], 1);
}

// Sigmoid cross-entropy of each box's scores, with the target 1 where there is a mark and `other` elsewhere.
extern "C" __global__ void logistic_losses(int n, const real* scores, const int* marks, real* losses, real* diff,
                                           real other, int classes) {
  ELEMENT(i, n);
  real total = 0;
  for (int k = i * classes; k < (i + 1) * classes; ++k) {
    const real score = scores[k], target = marks[k] ? (real)1 : other;
    total += max(score, (real)0) - score * target + log1p(exp(-fabs(score)));
    diff[k] = (real)0.5 * tanh((real)0.5 * score) + (real)0.5 - target;
  }
  losses[i] = total;
}

// picked = 1 for the first boxes of each image's order, (images, limit); zeros at first.
extern "C" __global__ void pick(int n, const int* order, const int* numbers, int* picked, int limit, int places) {
  ELEMENT(i, n);
  const int image = i / limit;
  if (i % limit < numbers[image]) picked[image * places + order[i]] = 1;
}

// The derivatives of boxes that do not count become 0.
extern "C" __global__ void clear_rows(int n, const int* judged, real* diff, int classes) {
  ELEMENT(i, n);
  if (!judged[i / classes]) diff[i] = 0;
}
