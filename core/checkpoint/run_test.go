package checkpoint

import (
	"bufio"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/atomicfile"
)

// at is the training of a tiny model at an epoch: weights, momentum and counter
// all follow from it.
func at(m *Model, epoch int) (*Model, *State) {
	moved := *m
	moved.Folds = []Fold{{Name: "0", Epoch: epoch, Weights: Weights{}}}
	s := &State{Tensors: map[string]Tensor{}, Meta: map[string]string{"epoch": strconv.Itoa(epoch), "random": `{"seed":1}`}}
	for name, w := range m.Folds[0].Weights {
		data := make([]float32, len(w.Data))
		for i := range data {
			data[i] = float32(epoch) + w.Data[i]
		}
		moved.Folds[0].Weights[name] = Tensor{w.Shape, data}
		s.Tensors["momentum."+name] = Tensor{w.Shape, data}
	}
	return &moved, s
}

func TestTrainingStateKeepsItsBits(t *testing.T) {
	dir := t.TempDir()
	m, s := at(single(t), 3)
	nan := math.Float32frombits(0x7fc12345)
	s.Tensors["ctl"] = Tensor{[]int{3}, []float32{float32(math.Inf(-1)), nan, math.SmallestNonzeroFloat32}}
	s.Tensors["empty"] = Tensor{[]int{0}, []float32{}}
	require.NoError(t, SaveRun(dir, m, s))
	gotModel, got, err := LoadRun(dir)
	require.NoError(t, err)
	assert.Equal(t, m, gotModel)
	assert.Equal(t, s.Meta, got.Meta)
	assert.Equal(t, uint32(0x7fc12345), math.Float32bits(got.Tensors["ctl"].Data[1]))
	s.Tensors["ctl"].Data[1], got.Tensors["ctl"].Data[1] = 0, 0
	assert.Equal(t, s, got)
	predicts, err := Open(dir)
	require.NoError(t, err)
	assert.Equal(t, m, predicts)
}

func TestARunWithoutStateIsNotExist(t *testing.T) {
	dir := t.TempDir()
	_, _, err := LoadRun(dir)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, Save(dir, single(t)))
	_, _, err = LoadRun(dir)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, SaveRun(dir, tiny(t), &State{}), "2 folds")
	require.ErrorContains(t, SaveBest(dir, tiny(t)), "2 folds")
}

// The three moments at which a training can be killed: in the middle of the
// state file, between the two files, in the middle of the model file.
func TestAKilledTrainingResumesFromAWholeCheckpoint(t *testing.T) {
	base := single(t)
	three, stateThree := at(base, 3)
	four, stateFour := at(base, 4)

	begin := func(t *testing.T) string {
		dir := t.TempDir()
		require.NoError(t, SaveRun(dir, three, stateThree))
		return dir
	}
	resumes := func(t *testing.T, dir string, m *Model, s *State) {
		t.Helper()
		gotModel, got, err := LoadRun(dir)
		require.NoError(t, err)
		assert.Equal(t, m, gotModel)
		assert.Equal(t, s, got)
		predicts, err := Open(dir)
		require.NoError(t, err)
		assert.Equal(t, m, predicts, "the model file is that of the state")
		next, stateNext := at(base, 5)
		require.NoError(t, SaveRun(dir, next, stateNext), "the training goes on")
	}
	torn := []byte("a file that was cut")

	t.Run("in the state file", func(t *testing.T) {
		dir := begin(t)
		require.NoError(t, os.WriteFile(filepath.Join(dir, StateFile+atomicfile.Suffix), torn, 0o666))
		resumes(t, dir, three, stateThree)
	})
	t.Run("between the files", func(t *testing.T) {
		dir := begin(t)
		require.NoError(t, saveState(dir, four, stateFour))
		predicts, err := Open(dir)
		require.NoError(t, err)
		assert.Equal(t, three, predicts, "until then the older model is whole")
		resumes(t, dir, four, stateFour)
	})
	t.Run("in the model file", func(t *testing.T) {
		dir := begin(t)
		require.NoError(t, saveState(dir, four, stateFour))
		require.NoError(t, os.WriteFile(filepath.Join(dir, WeightsFile+atomicfile.Suffix), torn, 0o666))
		resumes(t, dir, four, stateFour)
	})
	t.Run("before the first model file", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, saveState(dir, four, stateFour))
		resumes(t, dir, four, stateFour)
	})
}

const killedFolder = "GOUNET_TEST_KILLED_FOLDER"

// TestMain makes the process a training that saves without end where a test
// asks for it.
func TestMain(m *testing.M) {
	dir := os.Getenv(killedFolder)
	if dir == "" {
		os.Exit(m.Run())
	}
	fresh := filepath.Join(results, "nnUNetTrainer__nnUNetPlans__2d", "fold_0")
	var err error
	for err == nil {
		model, s, loading := LoadRun(dir)
		epoch := 0
		switch err = loading; {
		case errors.Is(loading, fs.ErrNotExist):
			model, err = Open(fresh)
		case loading == nil:
			epoch, err = strconv.Atoi(s.Meta["epoch"])
		}
		if err == nil {
			next, state := at(model, epoch+1)
			err = SaveRun(dir, next, state)
			os.Stdout.WriteString("saved\n")
		}
	}
	os.Stdout.WriteString(err.Error() + "\n")
	os.Exit(1)
}

// A real process is killed at a moment of the system's choice.
func TestKillMinusNineLeavesAWholeCheckpoint(t *testing.T) {
	dir := t.TempDir()
	for kill := range 6 {
		out, in, err := os.Pipe()
		require.NoError(t, err)
		training, err := os.StartProcess(os.Args[0], os.Args[:1], &os.ProcAttr{
			Env: append(os.Environ(), killedFolder+"="+dir), Files: []*os.File{nil, in, os.Stderr},
		})
		require.NoError(t, err)
		require.NoError(t, in.Close())
		lines := bufio.NewScanner(out)
		for range 2 + kill {
			require.True(t, lines.Scan())
			require.Equal(t, "saved", lines.Text())
		}
		require.NoError(t, training.Kill())
		_, err = training.Wait()
		require.NoError(t, err)
		require.NoError(t, out.Close())

		m, s, err := LoadRun(dir)
		require.NoError(t, err)
		assert.Equal(t, strconv.Itoa(m.Folds[0].Epoch), s.Meta["epoch"])
		for name, w := range m.Folds[0].Weights {
			assert.Equal(t, w, s.Tensors["momentum."+name])
		}
		predicts, err := Open(dir)
		require.NoError(t, err)
		assert.Equal(t, m, predicts)
	}
}
