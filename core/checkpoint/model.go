// Package checkpoint keeps models and trainings in files: the model folder with
// its plan and weights, the same as one .gounet file, the state from which a
// training goes on, and the results folders of nnU-Net v2, which are read as
// they are.
//
// A model folder is plan.json and model.safetensors; a model of several folds
// has fold_<name>/model.safetensors instead. That of a cascade's second stage may have
// the first one whole in the folder previous. Weights have nnU-Net's names,
// PyTorch's axis order and float32. Each weights file carries the hash of its
// plan. Files are replaced as a whole, and nothing is ever executed: a model
// file is numbers and text.
package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/internal/atomicfile"
	"github.com/gounet/gounet/internal/safetensors"
)

// Names of files in model and run folders.
const (
	WeightsFile = "model.safetensors"
	BestFile    = "best.safetensors"
	StateFile   = "state.safetensors"
	Extension   = ".gounet" // of a model folder in one file
)

// Model is a plan with the weights of one of its configurations.
type Model struct {
	Plan          *plan.Plan
	Configuration string
	Folds         []Fold
	Mirror        [3]bool // D H W of the plan: axes that test-time mirroring may use
	Trainer       string  // nnU-Net's trainer_name of an imported model, else ""
	Before        *Model  // of a second stage of a cascade: the first one, if it is with it; see SetBefore
}

// Fold is one trained network.
type Fold struct {
	Name    string // "0" to "4", "all", or "" where there are no folds
	Epoch   int    // epochs that were trained
	Weights Weights
}

// ErrOtherModel says that a folder holds a model of another plan, configuration
// or set of folds, which would be lost or mixed up.
var ErrOtherModel = errors.New("the folder holds another model: choose another folder, or remove it first")

// Config is the configuration of the model.
func (m *Model) Config() (*plan.Configuration, error) {
	if c := m.Plan.Configuration(m.Configuration); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("configuration %q is not one of the plan's: %s", m.Configuration,
		strings.Join(m.Plan.ConfigurationNames(), ", "))
}

// check makes sure that every fold fits the plan.
func (m *Model) check() error {
	c, err := m.Config()
	if err != nil {
		return err
	}
	if len(m.Folds) == 0 {
		return errors.New("a model without weights")
	}
	wanted := Parameters(m.Plan, c)
	seen := map[string]bool{}
	for _, f := range m.Folds {
		if seen[f.Name] || strings.ContainsAny(f.Name, `/\`) || f.Name == "" && len(m.Folds) > 1 {
			return fmt.Errorf("fold name %q is empty, comes twice or has a slash", f.Name)
		}
		seen[f.Name] = true
		if err := f.Weights.Check("weights of fold "+f.Name, wanted); err != nil {
			return err
		}
	}
	if m.Before == nil {
		return nil
	}
	if err := m.fitsBehind(m.Before); err != nil {
		return err
	}
	return m.Before.check()
}

// Save writes m to path: a .gounet file if it ends so, else a model folder. A
// folder that exists keeps its other files; if it has another model than an
// older one of the same plan and configuration, Save changes nothing and returns
// ErrOtherModel.
func Save(path string, m *Model) error {
	if err := m.check(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if strings.HasSuffix(path, Extension) {
		return saveArchive(path, m)
	}
	if err := m.mayReplace(folder(path)); err != nil {
		return err
	}
	if m.Before != nil {
		if err := Save(filepath.Join(path, stageFolder), m.Before); err != nil {
			return err
		}
	}
	planHash, err := savePlan(path, m.Plan)
	if err != nil {
		return err
	}
	for _, f := range m.Folds {
		file := filepath.Join(path, filepath.FromSlash(m.weightsName(f)))
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			return err
		}
		if err := m.saveFold(file, f, planHash); err != nil {
			return err
		}
	}
	return nil
}

// mayReplace makes sure that the folder, if it holds a model already, holds one
// of the same configuration and in the same form, so that no old weights stay
// beside the new ones.
func (m *Model) mayReplace(d folder) error {
	folds, err := d.folds("")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	single := len(m.Folds) == 1
	old := slices.DeleteFunc(folds, func(f string) bool { return !d.has(f + "/" + WeightsFile) })
	if d.has(WeightsFile) {
		if !single {
			return fmt.Errorf("%s: %s is there and folds would be beside it: %w", string(d), WeightsFile, ErrOtherModel)
		}
		return m.mayReplaceFile(d.path(WeightsFile))
	}
	for _, f := range old {
		name := strings.TrimPrefix(f, foldPrefix)
		if !slices.ContainsFunc(m.Folds, func(f Fold) bool { return f.Name == name }) || single {
			return fmt.Errorf("%s: %s is there, which is not one of the folds to be written: %w", string(d), f, ErrOtherModel)
		}
		if err := m.mayReplaceFile(d.path(f + "/" + WeightsFile)); err != nil {
			return err
		}
	}
	return nil
}

func (m *Model) mayReplaceFile(path string) error {
	f, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	if c := f.Metadata()[metaConfiguration]; c != m.Configuration {
		return errors.Join(fmt.Errorf("%s: it is of configuration %q: %w", path, c, ErrOtherModel), f.Close())
	}
	return f.Close()
}

// SaveBest writes the only fold of m as the best weights so far of the run
// folder.
func SaveBest(folder string, m *Model) error {
	if err := m.check(); err != nil {
		return fmt.Errorf("%s: %w", folder, err)
	}
	if len(m.Folds) != 1 {
		return fmt.Errorf("%s: %d folds, a run folder has one", folder, len(m.Folds))
	}
	planHash, err := savePlan(folder, m.Plan)
	if err != nil {
		return err
	}
	return m.saveFold(filepath.Join(folder, BestFile), m.Folds[0], planHash)
}

// weightsName is where in the model folder a fold is.
func (m *Model) weightsName(f Fold) string {
	if len(m.Folds) == 1 {
		return WeightsFile
	}
	return foldPrefix + f.Name + "/" + WeightsFile
}

const foldPrefix = "fold_"

func (m *Model) saveFold(file string, f Fold, planHash string) error {
	err := atomicfile.Write(file, func(w io.Writer) error { return m.writeFold(w, f, planHash, safetensors.F32) })
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// Keys of the metadata of a weights file.
const (
	metaPlan          = "plan" // hash
	metaDataset       = "dataset"
	metaConfiguration = "configuration"
	metaFold          = "fold"
	metaEpoch         = "epoch"
	metaTrainer       = "trainer"
	metaWeights       = "weights" // hash
)

func (m *Model) metadata(f Fold, planHash string) map[string]string {
	return map[string]string{
		metaPlan: planHash, metaDataset: m.Plan.Dataset, metaConfiguration: m.Configuration,
		metaFold: f.Name, metaEpoch: strconv.Itoa(f.Epoch), metaTrainer: m.Trainer,
		metaWeights: f.Weights.hash(),
	}
}

func (m *Model) writeFold(w io.Writer, f Fold, planHash string, kind safetensors.DType) error {
	tensors := tensorsOf(f.Weights, "")
	for i := range tensors {
		tensors[i].DType = kind
	}
	return safetensors.Write(w, m.metadata(f, planHash), tensors)
}

// tensorsOf are the tensors of w to be written, with a prefix to their names.
func tensorsOf(w map[string]Tensor, prefix string) []safetensors.Tensor {
	var list []safetensors.Tensor
	for _, name := range slices.Sorted(maps.Keys(w)) {
		t := w[name]
		data := t.Data
		if data == nil {
			data = []float32{}
		}
		list = append(list, safetensors.Tensor{Name: prefix + name, DType: safetensors.F32, Shape: t.Shape, Float32s: data})
	}
	return list
}

// hashOf names the content of a plan file.
func hashOf(planBytes []byte) string {
	sum := sha256.Sum256(planBytes)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// savePlan makes sure that the folder has p as its plan and returns the hash of
// the file. A file with the same content is left alone, so that the hash in the
// weights beside it stays right.
func savePlan(folder string, p *plan.Plan) (planHash string, err error) {
	var want bytes.Buffer
	if err := p.Write(&want); err != nil {
		return "", err
	}
	path := filepath.Join(folder, plan.FileName)
	old, err := os.ReadFile(path)
	if err == nil {
		same, err := samePlan(old, want.Bytes())
		if err == nil && !same {
			err = ErrOtherModel
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		return hashOf(old), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return "", err
	}
	return hashOf(want.Bytes()), p.Save(path)
}

// samePlan says whether a plan file holds what want, as this program writes it,
// holds.
func samePlan(old, want []byte) (bool, error) {
	if bytes.Equal(old, want) {
		return true, nil
	}
	p, err := plan.Parse(bytes.NewReader(old))
	if err != nil {
		return false, err
	}
	var again bytes.Buffer
	if err := p.Write(&again); err != nil {
		return false, err
	}
	return bytes.Equal(again.Bytes(), want), nil
}
