// Boxes (xmin, ymin, xmax, ymax): decoding, matching and suppression, step by step as box_code.py, matching.py and
// suppression_kernels.py do them, so that ties fall alike.

#define UNMATCHED -1
#define IGNORED -2

__device__ inline real area(const real* box) {
  const real width = box[2] - box[0], height = box[3] - box[1];
  return width < 0 || height < 0 ? (real)0 : width * height;
}

// The Jaccard overlap.
__device__ inline real overlap(const real* one, const real* other) {
  const real width = min(one[2], other[2]) - max(one[0], other[0]);
  const real height = min(one[3], other[3]) - max(one[1], other[1]);
  if (!(width > 0 && height > 0)) return 0;
  const real shared = width * height;
  return shared > 0 ? shared / (area(one) + area(other) - shared) : (real)0;
}

__device__ inline bool crosses(const real* box) {
  for (int k = 0; k < 4; ++k)
    if (box[k] < 0 || box[k] > 1) return true;
  return false;
}

// A block's threads each give a value and a key; all of them get the largest value, and of equal ones the least key.
// Every thread of the block must call it.
__device__ inline void block_best(real* value, long long* key) {
  __shared__ real values[BLOCK];
  __shared__ long long keys[BLOCK];
  const int i = threadIdx.x;
  __syncthreads();  // the result of the call before may still be read
  values[i] = *value;
  keys[i] = *key;
  __syncthreads();
  for (int half = BLOCK / 2; half > 0; half /= 2) {
    if (i < half) {
      const int j = i + half;
      if (values[j] > values[i] || (values[j] == values[i] && keys[j] < keys[i])) {
        values[i] = values[j];
        keys[i] = keys[j];
      }
    }
    __syncthreads();
  }
  *value = values[0];
  *key = keys[0];
}

// Decoding. `code` is 1 for CORNER, 2 for CENTER_SIZE, 3 for CORNER_SIZE, as in the schema; predictions and boxes are
// (images, places, classes, 4), priors and their variances (2, places, 4). A thread has a box; priors without extent are
// counted in `faults`.
extern "C" __global__ void decode(int n, const real* priors, const real* predictions, real* boxes, int* faults, int code,
                                  bool scaled, int places, int classes) {
  ELEMENT(i, n);
  const real* prior = priors + i / classes % places * 4;
  const real* variance = prior + places * 4;
  const real* prediction = predictions + i * 4;
  real* box = boxes + i * 4;
  real offset[4];
  for (int k = 0; k < 4; ++k) offset[k] = scaled ? variance[k] * prediction[k] : prediction[k];
  for (int k = 0; k < 4; ++k) box[k] = prior[k] + offset[k];
  if (code == 1) return;
  for (int k = 0; k < 2; ++k) {
    const real extent = prior[k + 2] - prior[k];
    if (!(extent > 0)) atomicAdd(faults, 1);
    if (code == 3) {
      box[k] = prior[k] + offset[k] * extent;
      box[k + 2] = prior[k + 2] + offset[k + 2] * extent;
    } else {
      const real center = offset[k] * extent + (prior[k] + prior[k + 2]) / 2;
      const real half = exp(offset[k + 2]) * extent / 2;
      box[k] = center - half;
      box[k + 2] = center + half;
    }
  }
}

// Suppression. A block has a class of an image; of its candidates, best first, each stays if it overlaps none of those
// that stay by more than the threshold. `image_step` is 0 where all images have the same boxes; `order` is (images,
// classes, limit), `found` says how many of it are candidates; boxes smaller than `least` do not stay.
extern "C" __global__ void suppress(const real* boxes, const int* order, const int* found, int* kept, int* counts,
                                    real threshold, real eta, real least, int background, int limit, int classes,
                                    int loc_classes, int image_step) {
  __shared__ int overlapped[2];
  const int job = blockIdx.x, own = job % classes;
  boxes += job / classes * image_step + (loc_classes > 1 ? own * 4 : 0);
  order += (long long)job * limit;
  kept += (long long)job * limit;
  const int number = own == background ? 0 : min(found[job], limit);
  int staying = 0;
  if (threadIdx.x == 0) overlapped[0] = 0;
  __syncthreads();
  for (int rank = 0; rank < number; ++rank) {
    const real* box = boxes + order[rank] * loc_classes * 4;
    int* flag = &overlapped[rank % 2];
    for (int other = threadIdx.x; other < staying; other += BLOCK) {
      if (overlap(box, boxes + kept[other] * loc_classes * 4) > threshold) {
        atomicExch(flag, 1);
        break;
      }
    }
    __syncthreads();
    const bool stays = *flag == 0 && !(area(box) < least);
    if (threadIdx.x == 0) {
      overlapped[(rank + 1) % 2] = 0;
      if (stays) kept[staying] = order[rank];
    }
    if (stays) {
      ++staying;
      if (eta < 1 && threshold > (real)0.5) threshold *= eta;
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) counts[job] = staying;
}

// Matching. Ground truth is in rows of 8 numbers, sorted by image; an image's rows are those from starts[image] to
// starts[image + 1]. Boxes are matched in `groups`: 1, or one for each class, in which rows of that label take part.

// shared = the overlap of each row with each box of its image and group, (rows, places); 0 where it counts as none.
extern "C" __global__ void truth_overlaps(int n, const real* truths, const int* images, const int* labels,
                                          const real* boxes, real* shared, bool ignore_crossing, int number, int places,
                                          int groups, int image_step) {
  ELEMENT(i, n);
  const int row = i / places, group = groups > 1 ? labels[row] : 0;
  shared[i] = 0;
  if (images[row] >= number || group < 0 || group >= groups) return;
  const real* box = boxes + images[row] * image_step + (i % places * groups + group) * 4;
  if (ignore_crossing && crosses(box)) return;
  const real value = overlap(truths + row * 8 + 3, box);
  if (value > (real)1e-6) shared[i] = value;
}

// The box that each row overlaps most, and by how much. A block has a row.
extern "C" __global__ void best_of_rows(const real* shared, int* best, real* greatest, int places) {
  const int row = blockIdx.x;
  real value = -1;
  long long place = 0;
  for (int p = threadIdx.x; p < places; p += BLOCK) {
    if (shared[row * places + p] > value) {
      value = shared[row * places + p];
      place = p;
    }
  }
  block_best(&value, &place);
  if (threadIdx.x == 0) {
    best[row] = (int)place;
    greatest[row] = value;
  }
}

// Each row gets the free box that it overlaps most, in the order of these overlaps; of equal ones the first box, then
// the first row, wins. A block has a group of an image; `matched` is (images, groups, places), UNMATCHED at first.
extern "C" __global__ void match_rows(const real* shared, const int* starts, const int* labels, int* best,
                                      real* greatest, int* matched, int rows, int places, int groups) {
  const int group = blockIdx.x % groups;
  const int first = starts[blockIdx.x / groups], last = starts[blockIdx.x / groups + 1];
  matched += (long long)blockIdx.x * places;
  for (int round = first; round < last; ++round) {
    real value = 0;
    long long key = (long long)rows * places;
    for (int row = first + threadIdx.x; row < last; row += BLOCK) {
      if (groups > 1 && labels[row] != group) continue;
      const long long mine = (long long)best[row] * rows + row;
      if (greatest[row] > value || (greatest[row] == value && mine < key)) {
        value = greatest[row];
        key = mine;
      }
    }
    block_best(&value, &key);
    if (!(value > 0)) break;
    const int box = (int)(key / rows), winner = (int)(key % rows);
    if (threadIdx.x == 0) {
      matched[box] = winner;
      greatest[winner] = 0;
    }
    __syncthreads();
    for (int row = first; row < last; ++row) {
      // The same for all threads: what they read was written before a barrier.
      if ((groups > 1 && labels[row] != group) || best[row] != box || !(greatest[row] > 0)) continue;
      value = -1;
      key = 0;
      for (int p = threadIdx.x; p < places; p += BLOCK) {
        const real left = matched[p] == UNMATCHED ? shared[row * places + p] : (real)0;
        if (left > value) {
          value = left;
          key = p;
        }
      }
      block_best(&value, &key);
      if (threadIdx.x == 0) {
        best[row] = (int)key;
        greatest[row] = value;
      }
    }
    __syncthreads();
  }
}

// Boxes that are still free get the row that they overlap most, if by the threshold at least and `by_threshold`.
// overlaps = the overlap with the row that a box matches, or else the greatest. A thread has a box.
extern "C" __global__ void match_boxes(int n, const real* shared, const int* starts, const int* labels,
                                       const real* boxes, int* matched, real* overlaps, bool by_threshold,
                                       real threshold, bool ignore_crossing, int places, int groups, int image_step) {
  ELEMENT(i, n);
  const int place = i % places, group = i / places % groups, image = i / places / groups;
  const int first = starts[image], last = starts[image + 1];
  overlaps[i] = 0;
  if (matched[i] >= 0) {
    overlaps[i] = shared[matched[i] * places + place];
    return;
  }
  if (first == last) return;
  if (ignore_crossing && crosses(boxes + image * image_step + (place * groups + group) * 4)) {
    matched[i] = IGNORED;
    return;
  }
  int closest = UNMATCHED;
  for (int row = first; row < last; ++row) {
    if (groups > 1 && labels[row] != group) continue;
    if (shared[row * places + place] > overlaps[i]) {
      overlaps[i] = shared[row * places + place];
      closest = row;
    }
  }
  if (by_threshold && overlaps[i] >= threshold) matched[i] = closest;
}
