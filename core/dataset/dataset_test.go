package dataset_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/volume"
)

const hippocampus = "../../testdata/hippocampus"

func open(t *testing.T) *dataset.Raw {
	t.Helper()
	r, err := dataset.Open(hippocampus)
	require.NoError(t, err)
	return r
}

func TestFoldsAreThoseOfTheOriginal(t *testing.T) {
	dir := os.Getenv("GOUNET_DATA")
	if dir == "" {
		t.Skip("GOUNET_DATA is not set: the stored splits lie there")
	}
	b, err := os.ReadFile(filepath.Join(dir, "msd_task04_hippocampus", "splits_final.json"))
	require.NoError(t, err)
	var want []dataset.Fold
	require.NoError(t, json.Unmarshal(b, &want))
	var ids []string
	ids = append(append(ids, want[0].Train...), want[0].Val...)
	got, err := dataset.Split(ids, dataset.Folds)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestEveryCaseIsValidatedOnce(t *testing.T) {
	ids := []string{"a", "b", "c", "d", "e", "f", "g"}
	folds, err := dataset.Split(ids, 5)
	require.NoError(t, err)
	var val []string
	for _, f := range folds {
		val = append(val, f.Val...)
		assert.Len(t, f.Train, len(ids)-len(f.Val))
	}
	assert.ElementsMatch(t, ids, val)
	_, err = dataset.Split(ids[:4], 5)
	assert.ErrorContains(t, err, "4 cases")
}

// prepared plans six cases once for all tests: the fingerprint draws 10⁸ voxels.
var prepared = sync.OnceValues(func() (*plan.Plan, error) {
	r, err := dataset.Open(hippocampus)
	if err != nil {
		return nil, err
	}
	r.Cases = r.Cases[:6]
	fp, err := r.Measure(context.Background(), nil)
	if err != nil {
		return nil, err
	}
	return plan.Make(fp, r.JSON, plan.Options{})
})

func prepare(t *testing.T) (*dataset.Raw, *plan.Plan, *plan.Configuration, *dataset.Store) {
	t.Helper()
	r := open(t)
	r.Cases = r.Cases[:6]
	p, err := prepared()
	require.NoError(t, err)
	c := p.Configuration("3d_fullres")
	require.NotNil(t, c)
	st, err := r.Preprocess(context.Background(), p, c, t.TempDir(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, st.Close()) })
	return r, p, c, st
}

func TestStoreHoldsWhatPreprocessingMakes(t *testing.T) {
	r, p, c, st := prepare(t)
	require.Len(t, st.Samples, 6)
	for i, s := range st.Samples {
		im, seg, _, err := r.Cases[i].Read()
		require.NoError(t, err)
		want, err := volume.Preprocess(im, seg, dataset.PreprocessOptions(p, c))
		require.NoError(t, err)
		assert.Equal(t, want.Image.Data, s.Image)
		assert.Equal(t, want.Labels.Data, s.Labels)
		assert.Equal(t, want.Placement, s.Placement)
		assert.Equal(t, []int{0, 1}, s.Classes)
		for k, l := range s.Locations {
			for _, v := range l {
				require.Equal(t, uint8(s.Classes[k]+1), s.Labels[v])
			}
		}
	}
}

func TestADamagedCaseIsNoticed(t *testing.T) {
	_, _, _, st := prepare(t)
	for _, s := range st.Samples {
		require.NoError(t, s.Verify())
	}
	id := st.Samples[0].ID
	path := filepath.Join(st.Dir, id+dataset.Ending)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	begin := 8 + int(binary.LittleEndian.Uint64(whole))
	for _, at := range []int{begin, (begin + len(whole)) / 2, len(whole) - 1} { // image, and voxels in the end
		damaged := slices.Clone(whole)
		damaged[at] ^= 0x10
		require.NoError(t, os.WriteFile(path, damaged, 0o666))
		again, err := dataset.OpenStore(st.Dir, []string{id})
		require.NoError(t, err)
		err = again.Samples[0].Verify()
		require.ErrorContains(t, err, path+" is damaged")
		assert.Equal(t, err, again.Samples[0].Verify())
		require.NoError(t, again.Close())
	}
}

func TestForcedCropsHoldForeground(t *testing.T) {
	_, _, _, st := prepare(t)
	r := rand.New(rand.NewPCG(1, 2))
	s := st.Samples[0]
	crop := [3]int{8, 8, 8}
	image, labels := make([]float32, 512), make([]uint8, 512)
	for range 200 {
		lo := s.Corner(r, crop, true)
		s.Crop(lo, crop, image, labels)
		assert.Contains(t, []uint8{1, 2}, labels[(4*8+4)*8+4], "the middle of the crop is the drawn voxel")
	}
}

func TestCropsPadWhatLiesOutside(t *testing.T) {
	_, _, _, st := prepare(t)
	s := st.Samples[0]
	crop := [3]int{s.Shape[0] + 5, s.Shape[1] + 4, s.Shape[2] + 3}
	n := crop[0] * crop[1] * crop[2]
	image, labels := make([]float32, n), make([]uint8, n)
	lo := s.Corner(rand.New(rand.NewPCG(1, 2)), crop, false)
	s.Crop(lo, crop, image, labels)
	inside := 0
	for d := range crop[0] {
		for h := range crop[1] {
			for w := range crop[2] {
				z, y, x := lo[0]+d, lo[1]+h, lo[2]+w
				i := (d*crop[1]+h)*crop[2] + w
				if z < 0 || y < 0 || x < 0 || z >= s.Shape[0] || y >= s.Shape[1] || x >= s.Shape[2] {
					require.Equal(t, uint8(volume.Outside), labels[i])
					require.Zero(t, image[i])
					continue
				}
				inside++
				j := (z*s.Shape[1]+y)*s.Shape[2] + x
				require.Equal(t, s.Labels[j], labels[i])
				require.Equal(t, s.Image[j], image[i])
			}
		}
	}
	assert.Equal(t, len(s.Labels), inside, "a crop larger than the case holds all of it")
}

func TestForcedShareIsNNUNets(t *testing.T) {
	for batch, want := range map[int]int{2: 1, 4: 1, 9: 3, 12: 4} {
		assert.Equal(t, want, dataset.Forced(batch, 0.33), "batch %d", batch)
	}
}

func TestPreprocessingKeepsWhatIsThereAndRedoesWhatChanged(t *testing.T) {
	ctx := context.Background()
	r, p, c, st := prepare(t)
	first := filepath.Join(st.Dir, r.Cases[0].ID+dataset.Ending)
	before, err := os.Stat(first)
	require.NoError(t, err)
	st2, err := r.Preprocess(ctx, p, c, st.Dir, nil)
	require.NoError(t, err)
	require.NoError(t, st2.Close())
	after, err := os.Stat(first)
	require.NoError(t, err)
	assert.True(t, os.SameFile(before, after))
	coarse := *c
	coarse.Spacing = [3]float64{2, 2, 2}
	st3, err := r.Preprocess(ctx, p, &coarse, st.Dir, nil)
	require.NoError(t, err)
	defer st3.Close()
	assert.Less(t, st3.Samples[0].Shape[0], st.Samples[0].Shape[0])
}

func TestCheckListsAllProblemsAtOnce(t *testing.T) {
	dir := t.TempDir()
	r := open(t)
	for _, sub := range []string{"imagesTr", "labelsTr"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, sub), 0o777))
	}
	var training []map[string]string
	for i, c := range r.Cases[:4] {
		for _, path := range []string{c.Images[0], c.Label} {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			rel, err := filepath.Rel(r.Dir, path)
			require.NoError(t, err)
			if i == 0 && path == c.Label {
				continue // missing
			}
			if i == 1 && path == c.Images[0] {
				b = b[:len(b)/2] // truncated
			}
			require.NoError(t, os.WriteFile(filepath.Join(dir, rel), b, 0o666))
		}
		training = append(training, map[string]string{"image": "./imagesTr/" + c.ID + ".nii.gz", "label": "./labelsTr/" + c.ID + ".nii.gz"})
	}
	stray := filepath.Join(dir, "imagesTr", "stray.nii.gz")
	require.NoError(t, os.WriteFile(stray, []byte("x"), 0o666))
	training[3]["label"] = training[2]["label"] // of another scan
	b, err := json.Marshal(map[string]any{
		"name": "bad", "tensorImageSize": "3D", "modality": map[string]string{"0": "MRI"},
		"labels": map[string]string{"0": "background", "1": "Anterior"}, "training": training,
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dataset.json"), b, 0o666))
	bad, err := dataset.Open(dir)
	require.NoError(t, err)
	_, err = bad.Measure(context.Background(), nil)
	var problems *dataset.ProblemsError
	require.ErrorAs(t, err, &problems)
	for _, want := range []string{"is missing", r.Cases[1].ID, "has value 2", "stray.nii.gz belongs to no case"} {
		assert.ErrorContains(t, err, want)
	}
	t.Log(err)
}

// nnunetFolder writes the first cases as an nnU-Net folder with the channels
// CASE_0000 … all of the same scan.
func nnunetFolder(t *testing.T, cases, channels int) (dir string, ids []string) {
	t.Helper()
	dir = t.TempDir()
	r := open(t)
	write := func(from string, to ...string) {
		b, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Join(dir, to[0]), 0o777))
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Join(to...)), b, 0o666))
	}
	names := map[string]string{}
	for _, c := range r.Cases[:cases] {
		ids = append(ids, c.ID)
		for i := range channels {
			names[strconv.Itoa(i)] = "MRI" + strconv.Itoa(i)
			write(c.Images[0], "imagesTr", c.ID+"_000"+strconv.Itoa(i)+".nii.gz")
		}
		write(c.Label, "labelsTr", c.ID+".nii.gz")
	}
	b, err := json.Marshal(map[string]any{
		"channel_names": names, "labels": map[string]int{"background": 0, "Anterior": 1, "Posterior": 2},
		"numTraining": cases, "file_ending": ".nii.gz",
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dataset.json"), b, 0o666))
	return dir, ids
}

func TestMissingChannelsAreListedWithAllElse(t *testing.T) {
	dir, ids := nnunetFolder(t, 4, 2)
	in := func(sub, name string) string { return filepath.Join(dir, sub, name) }
	require.NoError(t, os.Remove(in("imagesTr", ids[0]+"_0001.nii.gz")))
	require.NoError(t, os.Remove(in("imagesTr", ids[1]+"_0000.nii.gz")))
	require.NoError(t, os.Remove(in("labelsTr", ids[2]+".nii.gz")))
	require.NoError(t, os.Truncate(in("imagesTr", ids[3]+"_0001.nii.gz"), 1000))
	require.NoError(t, os.Truncate(in("labelsTr", ids[3]+".nii.gz"), 100))
	require.NoError(t, os.Mkdir(in("imagesTs", ""), 0o777))
	require.NoError(t, os.WriteFile(in("imagesTs", "t_0000.nii.gz"), nil, 0o666))
	r, err := dataset.Open(dir)
	require.NoError(t, err)
	_, err = r.Measure(context.Background(), nil)
	var problems *dataset.ProblemsError
	require.ErrorAs(t, err, &problems)
	assert.Len(t, problems.Problems, 6)
	for _, want := range []string{
		ids[0] + "_0001.nii.gz is missing", ids[1] + "_0000.nii.gz is missing", ids[2] + ".nii.gz is missing",
		ids[3] + "_0001.nii.gz: ", filepath.Join("labelsTr", ids[3]+".nii.gz") + ": ", "case t has no channel 1",
	} {
		assert.ErrorContains(t, err, want)
	}
}

func TestCasesThatTeachNothingAreWarnedOf(t *testing.T) {
	dir, ids := nnunetFolder(t, 3, 2)
	image := filepath.Join(dir, "imagesTr", ids[0]+"_0001.nii.gz")
	im, h, err := nifti.ReadImage(image)
	require.NoError(t, err)
	clear(im.Data)
	require.NoError(t, nifti.WriteImage(image, im, h))
	label := filepath.Join(dir, "labelsTr", ids[1]+".nii.gz")
	l, h, err := nifti.ReadLabels(label)
	require.NoError(t, err)
	clear(l.Data)
	require.NoError(t, nifti.WriteLabels(label, l, h))
	r, err := dataset.Open(dir)
	require.NoError(t, err)
	_, err = r.Measure(context.Background(), nil)
	require.NoError(t, err)
	assert.Equal(t, map[string][]string{
		"channel 1 has the same value in all voxels":    {ids[0]},
		"the label map has no label but the background": {ids[1]},
	}, r.Warnings)
}

func TestAnImageWithoutGeometryIsBlamed(t *testing.T) {
	dir, ids := nnunetFolder(t, 2, 1)
	for i, id := range ids {
		path := filepath.Join(dir, "imagesTr", id+"_0000.nii.gz")
		im, _, err := nifti.ReadImage(path)
		require.NoError(t, err)
		var b bytes.Buffer
		require.NoError(t, nifti.EncodeImage(&b, "a.nii", im, nil))
		if i == 0 {
			clear(b.Bytes()[84:88]) // pixdim of y
		} else {
			clear(b.Bytes()[280:328]) // sform
		}
		require.NoError(t, os.WriteFile(path, b.Bytes(), 0o666))
	}
	r, err := dataset.Open(dir)
	require.NoError(t, err)
	_, err = r.Measure(context.Background(), nil)
	assert.ErrorContains(t, err, ids[0]+": the image has spacing 0 (or none) along axis y")
	assert.ErrorContains(t, err, "the axes [[0 0 0 0] [0 0 0 0] [0 0 0 0]] of the voxels lie in one plane")
	assert.NotContains(t, err.Error(), "does not lie on the grid")
}

func TestARepairedScanIsPreprocessedAgain(t *testing.T) {
	ctx := context.Background()
	_, p, c, _ := prepare(t)
	dir, ids := nnunetFolder(t, 2, 1)
	r, err := dataset.Open(dir)
	require.NoError(t, err)
	store := t.TempDir()
	run := func() (times []time.Time) {
		st, err := r.Preprocess(ctx, p, c, store, nil)
		require.NoError(t, err)
		require.NoError(t, st.Close())
		for _, id := range ids {
			info, err := os.Stat(filepath.Join(store, id+dataset.Ending))
			require.NoError(t, err)
			times = append(times, info.ModTime())
		}
		return times
	}
	first := run()
	require.NoError(t, os.Chtimes(r.Cases[0].Images[0], time.Time{}, time.Unix(1e9, 0)))
	second := run()
	assert.NotEqual(t, first[0], second[0])
	assert.Equal(t, first[1], second[1])
}

func TestALabelThatGotAnotherValueIsNotPreprocessed(t *testing.T) {
	_, p, c, _ := prepare(t)
	dir, ids := nnunetFolder(t, 2, 1)
	r, err := dataset.Open(dir)
	require.NoError(t, err)
	store := t.TempDir()
	st, err := r.Preprocess(t.Context(), p, c, store, nil)
	require.NoError(t, err)
	require.NoError(t, st.Close())
	labels, h, err := nifti.ReadLabels(r.Cases[1].Label)
	require.NoError(t, err)
	labels.Data[0] = 9
	require.NoError(t, nifti.WriteLabels(r.Cases[1].Label, labels, h))
	_, err = r.Preprocess(t.Context(), p, c, store, nil)
	assert.ErrorContains(t, err, ids[1]+": the label has value 9, which dataset.json does not name")
}

func TestACaseThatBecomesTooLargeIsNamed(t *testing.T) {
	r, p, c, _ := prepare(t)
	fine := *c
	fine.Spacing = [3]float64{0.001, 0.001, 0.001}
	_, err := r.Preprocess(context.Background(), p, &fine, t.TempDir(), nil)
	require.ErrorContains(t, err, "hippocampus_")
	assert.ErrorContains(t, err, "choose a larger spacing")

	other := *c
	other.Resampling.SeparateZ = plan.SeparateNever
	_, err = r.Preprocess(context.Background(), p, &other, t.TempDir(), nil)
	assert.ErrorContains(t, err, "separate_z never; supported is nnU-Net's default", "before a training, not after it")
}

func TestFolderWithoutDatasetIsAnErrorThatSaysWhatIsWanted(t *testing.T) {
	_, err := dataset.Open(t.TempDir())
	assert.ErrorContains(t, err, "has no dataset.json")
}

func TestCancelledPreprocessingStops(t *testing.T) {
	r, p, c, _ := prepare(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := r.Preprocess(ctx, p, c, t.TempDir(), nil)
	assert.ErrorIs(t, err, context.Canceled)
}

// A picture has its colours, as in nnU-Net, also where its name has a channel; a volume
// of that name is one channel of several.
func TestPicturesHoldAllChannels(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a_0000.png", "b.png", "c_0000.nii.gz"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o666))
	}
	cases, err := dataset.Scan(dir, ".png", 3)
	require.NoError(t, err)
	require.Len(t, cases, 2)
	assert.Equal(t, []string{filepath.Join(dir, "a_0000.png")}, cases[0].Images)
	assert.Equal(t, []string{filepath.Join(dir, "b.png")}, cases[1].Images)
	_, err = dataset.Scan(dir, ".nii.gz", 3)
	assert.ErrorContains(t, err, "has no channel 1")
}

func TestEndingsInCapitalsAreThoseOfScansToo(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"A.NII.GZ", "b.nii.gz"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o666))
	}
	cases, err := dataset.Scan(dir, ".nii.gz", 1)
	require.NoError(t, err)
	require.Len(t, cases, 2)
	assert.Equal(t, "A", cases[0].ID)
	assert.Equal(t, []string{filepath.Join(dir, "A.NII.GZ")}, cases[0].Images)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "A.nii.gz"), nil, 0o666))
	_, err = dataset.Scan(dir, ".nii.gz", 1)
	assert.ErrorContains(t, err, "the same file of case A")
}

func TestScansThatAreNotListedAreTestCases(t *testing.T) {
	dir := t.TempDir()
	r := open(t)
	require.NoError(t, os.CopyFS(dir, os.DirFS(hippocampus)))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "imagesTs"), 0o777))
	scan, err := os.ReadFile(r.Cases[0].Images[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "imagesTs", "new.nii.gz"), scan, 0o666))
	with, err := dataset.Open(dir)
	require.NoError(t, err)
	require.Len(t, with.Test, 1)
	assert.Equal(t, "new", with.Test[0].ID)
	assert.Len(t, with.Cases, len(r.Cases))
}
