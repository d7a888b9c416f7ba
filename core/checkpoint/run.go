package checkpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/internal/atomicfile"
	"github.com/gounet/gounet/internal/safetensors"
)

// State is what a training needs, beside the weights, to go on to the same bits
// as if it had not stopped.
type State struct {
	Tensors map[string]Tensor // optimizer state by parameter, ctl; float32, bits are kept
	Meta    map[string]string // counters, random state, as text
}

// metaState is the key of the hash of a State in the metadata of its file.
const metaState = "state"

// Prefixes of names in a state file.
const (
	weightsPrefix = "weights/"
	tensorsPrefix = "state/"
)

// SaveRun writes a checkpoint of a training: m, which has one fold, and s, into
// the run folder.
//
// The order of the writes keeps the folder whole at any moment. The state file
// comes first and has everything that resuming needs, a copy of the weights
// included; the model file follows. A training that is killed before the state
// file is in place resumes from the checkpoint before; one that is killed
// between the two files resumes from the new one, and LoadRun then brings the
// model file up to date. Until then the model file is the older model, whole.
//
// The best weights (SaveBest) are to be written before the state that remembers
// them: a training killed in between makes the same epoch again, with the same
// bits, and finds the same best.
func SaveRun(folder string, m *Model, s *State) error {
	if len(m.Folds) != 1 {
		return fmt.Errorf("%s: %d folds, a run folder has one", folder, len(m.Folds))
	}
	if err := saveState(folder, m, s); err != nil {
		return err
	}
	return Save(folder, m)
}

func saveState(dir string, m *Model, s *State) error {
	if err := m.check(); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if err := m.mayReplace(folder(dir)); err != nil {
		return err
	}
	planHash, err := savePlan(dir, m.Plan)
	if err != nil {
		return err
	}
	meta := m.metadata(m.Folds[0], planHash)
	meta[metaState] = s.hash()
	for key, value := range s.Meta {
		meta[tensorsPrefix+key] = value
	}
	tensors := append(tensorsOf(m.Folds[0].Weights, weightsPrefix), tensorsOf(s.Tensors, tensorsPrefix)...)
	path := filepath.Join(dir, StateFile)
	err = atomicfile.Write(path, func(w io.Writer) error { return safetensors.Write(w, meta, tensors) })
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// LoadRun reads the last checkpoint of a run folder, from which the training
// goes on. Where there is none the error is fs.ErrNotExist. A model file that is
// older than the state is replaced by that of the state.
func LoadRun(dir string) (*Model, *State, error) {
	planBytes, err := readAll(folder(dir), plan.FileName)
	if err != nil {
		return nil, nil, err
	}
	p, err := plan.Load(filepath.Join(dir, plan.FileName))
	if err != nil {
		return nil, nil, err
	}
	f, err := folder(dir).open(StateFile)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	st, err := safetensors.New(f, f.size, f.name)
	if err != nil {
		return nil, nil, err
	}
	m := &Model{Plan: p}
	fold, err := m.readFold(st, f.name, weightsPrefix, hashOf(planBytes))
	if err != nil {
		return nil, nil, err
	}
	m.Folds = []Fold{fold}
	if err := m.setMirror(); err != nil {
		return nil, nil, err
	}
	s, err := readState(st)
	if err != nil {
		return nil, nil, err
	}
	if s.hash() != st.Metadata()[metaState] {
		return nil, nil, fmt.Errorf("%s: the state is not the one that was saved: the file is damaged, train again into another --output", f.name)
	}
	if err := m.bringUpToDate(dir); err != nil {
		return nil, nil, err
	}
	return m, s, nil
}

// RunMeta is the Meta of the State of a run folder, without its tensors. Where there is
// none the error is fs.ErrNotExist.
func RunMeta(dir string) (map[string]string, error) {
	st, err := safetensors.Open(filepath.Join(dir, StateFile))
	if err != nil {
		return nil, err
	}
	return metaOf(st), st.Close()
}

func metaOf(st *safetensors.File) map[string]string {
	m := map[string]string{}
	for key, value := range st.Metadata() {
		if rest, ok := strings.CutPrefix(key, tensorsPrefix); ok {
			m[rest] = value
		}
	}
	return m
}

// hash names the content of s.
func (s *State) hash() string {
	h := sha256.New()
	fmt.Fprintln(h, Weights(s.Tensors).hash())
	for _, key := range slices.Sorted(maps.Keys(s.Meta)) {
		fmt.Fprintf(h, "%q %q\n", key, s.Meta[key])
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

func readState(st *safetensors.File) (*State, error) {
	s := &State{Tensors: map[string]Tensor{}, Meta: metaOf(st)}
	for _, name := range st.Names() {
		rest, ok := strings.CutPrefix(name, tensorsPrefix)
		if !ok {
			continue
		}
		data, shape, err := st.Float32s(name)
		if err != nil {
			return nil, err
		}
		s.Tensors[rest] = Tensor{Shape: shape, Data: data}
	}
	return s, nil
}

// bringUpToDate writes the model file again if it is not that of m.
func (m *Model) bringUpToDate(dir string) error {
	f, err := safetensors.Open(filepath.Join(dir, WeightsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		meta := f.Metadata()
		if err := f.Close(); err != nil {
			return err
		}
		if maps.Equal(meta, m.metadata(m.Folds[0], meta[metaPlan])) {
			return nil
		}
	}
	return Save(dir, m)
}
