// What is left of an image's detections, and the rows that they become. `kept` is (images, classes, limit): the places
// of the boxes that stay, best first, and `counts` says how many; `scores` is (images, places, classes).

// -score of each detection, for sorting; a thread has a rank of a class.
extern "C" __global__ void negated_scores(int n, const real* scores, const int* kept, const int* counts, real* negated,
                                          int limit, int places, int classes) {
  ELEMENT(i, n);
  const int job = i / limit;
  if (i % limit >= counts[job]) return;
  negated[i] = -scores[(job / classes * places + kept[i]) * classes + job % classes];
}

// chosen = 1 for those that come first in an image's order; a thread has one of the `keep` first places.
extern "C" __global__ void choose_first(int n, const int* order, const int* counts, int* chosen, int keep, int limit,
                                        int classes) {
  ELEMENT(i, n);
  const int place = order[i] + i / keep * classes * limit;
  chosen[place] = place % limit < counts[place / limit];
}

// Rows of image, label, score and box. Row ends[i] - 1 is that of the chosen detection i.
extern "C" __global__ void write_rows(int n, const real* boxes, const real* scores, const int* kept, const int* chosen,
                                      const int* ends, real* rows, int limit, int places, int classes, int loc_classes) {
  ELEMENT(i, n);
  if (!chosen[i]) return;
  const int label = i / limit % classes, image = i / limit / classes;
  const int place = image * places + kept[i];
  const real* box = boxes + (place * loc_classes + (loc_classes > 1 ? label : 0)) * 4;
  real* row = rows + (ends[i] - 1) * 7;
  row[0] = image;
  row[1] = label;
  row[2] = scores[place * classes + label];
  for (int k = 0; k < 4; ++k) row[3 + k] = box[k];
}
