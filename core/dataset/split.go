package dataset

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/plan"
)

// Fold is a split of the cases of a data set.
type Fold struct {
	Train []string `json:"train"`
	Val   []string `json:"val"`
}

// Changed says which cases have another role in f than in before, a few of them by
// name; "" if all have the same.
func (f Fold) Changed(before Fold) string {
	was, is := before.roles(), f.roles()
	var list []string
	for _, id := range slices.Sorted(maps.Keys(was)) {
		if is[id] != was[id] {
			list = append(list, fmt.Sprintf("%s was %s and is %s", id, was[id], cmp.Or(is[id], "left out")))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(is)) {
		if was[id] == "" {
			list = append(list, fmt.Sprintf("%s was left out and is %s", id, is[id]))
		}
	}
	return firstFew(list)
}

// roles are the cases of f with what they are for.
func (f Fold) roles() map[string]string {
	m := map[string]string{}
	for _, id := range f.Train {
		m[id] = "trained on"
	}
	for _, id := range f.Val {
		m[id] = "held out"
	}
	return m
}

// firstFew joins the first of a list, and counts the others.
func firstFew(list []string) string {
	const most = 5 // a line of a terminal or two
	if more := len(list) - most; more > 0 {
		list = append(slices.Clone(list[:most]), fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, ", ")
}

// Folds is the number of folds of nnU-Net's cross-validation.
const Folds = 5

// Split divides ids, in byte-wise order, into k folds as nnU-Net v2 does:
// scikit-learn's KFold with shuffling and random state 12345. Fewer cases than
// folds are an error.
func Split(ids []string, k int) ([]Fold, error) {
	if len(ids) < k {
		return nil, fmt.Errorf("dataset: %d cases cannot be split into %d folds: train on all of them (train --fold all, run --folds all), or give folds of your own", len(ids), k)
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

// SplitGroups divides ids into k folds so that all cases of a group, such as the
// scans of a patient, are on one side: the groups are split as Split does it with
// cases. A case without a group is one by itself.
func SplitGroups(ids []string, groups map[string]string, k int) ([]Fold, error) {
	members := map[string][]string{}
	for _, id := range ids {
		g, ok := groups[id]
		if !ok {
			g = "case " + id
		}
		members[g] = append(members[g], id)
	}
	folds, err := Split(slices.Collect(maps.Keys(members)), k)
	if err != nil {
		return nil, fmt.Errorf("%w (counting groups)", err)
	}
	for i, f := range folds {
		folds[i] = Fold{Train: casesOf(f.Train, members), Val: casesOf(f.Val, members)}
	}
	return folds, nil
}

func casesOf(groups []string, members map[string][]string) (ids []string) {
	for _, g := range groups {
		ids = append(ids, members[g]...)
	}
	slices.Sort(ids)
	return ids
}

// mostSplits bounds the file that LoadSplits reads, in bytes.
const mostSplits = 64 << 20

// LoadSplits reads a splits_final.json and checks that it names cases of ids
// only, and no case on both sides of a fold. A file with an object {"case": "group"}
// asks for SplitGroups; it names every case, for one that was forgotten could lie on
// the other side of its group.
func LoadSplits(path string, ids []string) ([]Fold, error) {
	if st, err := os.Stat(path); err == nil && st.Size() > mostSplits {
		return nil, fmt.Errorf("dataset: %s: %d MiB, a list of folds has at most %d", path, st.Size()>>20, mostSplits>>20)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	var groups map[string]string
	if json.Unmarshal(b, &groups) == nil {
		for id := range groups {
			if !slices.Contains(ids, id) {
				return nil, fmt.Errorf("dataset: %s: names %q, which the data set does not have", path, id)
			}
		}
		if without := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { _, ok := groups[id]; return ok }); len(without) > 0 {
			return nil, fmt.Errorf("dataset: %s: %d of %d cases have no group: %s: name each, one that has no other of its group with a group of its own", path, len(without), len(ids), firstFew(without))
		}
		return SplitGroups(ids, groups, Folds)
	}
	var folds []Fold
	if err := json.Unmarshal(b, &folds); err != nil {
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			err = fmt.Errorf("no JSON at byte %d", syntax.Offset)
		}
		if kind := (*json.UnmarshalTypeError)(nil); errors.As(err, &kind) {
			err = fmt.Errorf("the %s that ends at byte %d of the file is out of place", strings.Fields(kind.Value)[0], kind.Offset)
		}
		return nil, fmt.Errorf("dataset: %s: %w: wanted a list of {\"train\": […], \"val\": […]}, or an object {\"case\": \"group\"}", path, err)
	}
	if len(folds) == 0 {
		return nil, fmt.Errorf("dataset: %s: has no folds", path)
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
