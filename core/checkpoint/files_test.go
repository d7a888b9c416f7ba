package checkpoint

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// filesOf are the files below dir, with a folder in front of their names.
func filesOf(t *testing.T, dir, top string) (list []File) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		below, err := filepath.Rel(dir, path)
		require.NoError(t, err)
		b, err := os.ReadFile(path)
		list = append(list, File{top + filepath.ToSlash(below), int64(len(b)), bytes.NewReader(b)})
		return err
	})
	require.NoError(t, err)
	return list
}

func TestFilesOfAFolderAreTheModel(t *testing.T) {
	for name, m := range map[string]*Model{"one fold": single(t), "two folds": tiny(t)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, Save(dir, m))
			for _, top := range []string{"", "models/mine/"} {
				files := append(filesOf(t, dir, top), File{"elsewhere/notes.txt", 0, bytes.NewReader(nil)})
				got, err := ReadFiles(files, "mine", Options{})
				require.NoError(t, err)
				assert.Equal(t, m, got)
			}
			var b bytes.Buffer
			require.NoError(t, Write(&b, m))
			got, err := ReadFiles([]File{{"m.gounet", int64(b.Len()), bytes.NewReader(b.Bytes())}}, "mine", Options{})
			require.NoError(t, err)
			assert.Equal(t, m, got)
		})
	}
}

func TestFilesThatAreNoModelAreErrors(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, Save(dir, tiny(t)))
	whole := filesOf(t, dir, "")
	without := func(name string) (list []File) {
		for _, f := range whole {
			if f.Name != name {
				list = append(list, f)
			}
		}
		return list
	}
	for want, files := range map[string][]File{
		"no plan.json among 0 files":   nil,
		"no plan.json among 2 files":   without("plan.json"),
		"comes twice":                  append(without(""), whole[0]),
		"read from a disk only":        {{nnunetPlans, 0, bytes.NewReader(nil)}},
		"not a whole zip file":         {{"a.gounet", 0, bytes.NewReader(nil)}},
		"is not a plain relative path": append(without(""), File{"../plan.json", 0, bytes.NewReader(nil)}, File{"a//b", 0, bytes.NewReader(nil)}),
	} {
		_, err := ReadFiles(files, "given", Options{})
		assert.ErrorContains(t, err, want)
	}
}
