package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/gounet/gounet/core/plan"
)

// Fold is a split of the cases of a data set.
type Fold struct {
	Train []string `json:"train"`
	Val   []string `json:"val"`
}

// Folds is the number of folds of nnU-Net's cross-validation.
const Folds = 5

// Split divides ids, in byte-wise order, into k folds as nnU-Net v2 does:
// scikit-learn's KFold with shuffling and random state 12345. Fewer cases than
// folds are an error.
func Split(ids []string, k int) ([]Fold, error) {
	if len(ids) < k {
		return nil, fmt.Errorf("dataset: %d cases cannot be split into %d folds: train on fold \"all\"", len(ids), k)
	}
	ids = slices.Sorted(slices.Values(ids))
	order := make([]int, len(ids))
	for i := range order {
		order[i] = i
	}
	m := plan.NewMersenne(12345)
	for i := len(order) - 1; i > 0; i-- { // numpy's shuffle
		j := m.Below(uint32(i + 1))
		order[i], order[j] = order[j], order[i]
	}
	folds := make([]Fold, k)
	at := 0
	for f := range folds {
		n := len(ids) / k
		if f < len(ids)%k {
			n++
		}
		val := order[at : at+n]
		at += n
		for i, id := range ids {
			if slices.Contains(val, i) {
				folds[f].Val = append(folds[f].Val, id)
			} else {
				folds[f].Train = append(folds[f].Train, id)
			}
		}
	}
	return folds, nil
}

// LoadSplits reads a splits_final.json and checks that it names cases of ids
// only, and no case on both sides of a fold.
func LoadSplits(path string, ids []string) ([]Fold, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	var folds []Fold
	if err := json.Unmarshal(bytes.TrimPrefix(b, []byte("\ufeff")), &folds); err != nil {
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			err = fmt.Errorf("no JSON at byte %d", syntax.Offset)
		}
		return nil, fmt.Errorf("dataset: %s: %w: wanted a list of {\"train\": […], \"val\": […]}", path, err)
	}
	for i, f := range folds {
		for _, id := range slices.Concat(f.Train, f.Val) {
			if !slices.Contains(ids, id) {
				return nil, fmt.Errorf("dataset: %s: fold %d names %q, which the data set does not have", path, i, id)
			}
			if slices.Contains(f.Train, id) && slices.Contains(f.Val, id) {
				return nil, fmt.Errorf("dataset: %s: fold %d has %q in train and in val", path, i, id)
			}
		}
		if len(f.Train) == 0 || len(f.Val) == 0 {
			return nil, fmt.Errorf("dataset: %s: fold %d has %d cases to train on and %d to validate, wanted both above 0", path, i, len(f.Train), len(f.Val))
		}
	}
	return folds, nil
}
