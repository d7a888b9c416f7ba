package dataset

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGroupsAreNeverOnBothSides(t *testing.T) {
	var ids []string
	groups := map[string]string{}
	for i := range 40 {
		id := fmt.Sprintf("case_%02d", i)
		ids = append(ids, id)
		if i < 30 {
			groups[id] = fmt.Sprint("patient ", i/3)
		}
	}
	folds, err := SplitGroups(ids, groups, Folds)
	require.NoError(t, err)
	held := map[string]int{}
	for _, f := range folds {
		assert.Len(t, append(append([]string(nil), f.Train...), f.Val...), 40)
		for _, id := range f.Val {
			held[id]++
			for _, other := range f.Train {
				assert.False(t, groups[id] != "" && groups[id] == groups[other], "%s and %s", id, other)
			}
		}
	}
	assert.Len(t, held, 40, "each case is held out once")
	alone, err := SplitGroups(ids, nil, Folds)
	require.NoError(t, err)
	plain, err := Split(ids, Folds)
	require.NoError(t, err)
	assert.Equal(t, plain, alone, "without groups nothing changes")

	file := filepath.Join(t.TempDir(), "groups.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"case_00": "a", "case_01": "a"}`), 0o600))
	_, err = LoadSplits(file, ids)
	assert.ErrorContains(t, err, "38 of 40 cases have no group: case_02, case_03, case_04, case_05, case_06, and 33 more")
	require.NoError(t, os.WriteFile(file, []byte(`{}`), 0o600))
	_, err = LoadSplits(file, ids)
	assert.ErrorContains(t, err, "40 of 40 cases have no group")
	for _, id := range ids[30:] {
		groups[id] = id
	}
	b, err := json.Marshal(groups)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, b, 0o600))
	loaded, err := LoadSplits(file, ids)
	require.NoError(t, err)
	assert.Len(t, loaded, Folds)
	require.NoError(t, os.WriteFile(file, []byte(`[]`), 0o600))
	_, err = LoadSplits(file, ids)
	assert.ErrorContains(t, err, "has no folds")
	require.NoError(t, os.WriteFile(file, []byte(`{"other": "a"}`), 0o600))
	_, err = LoadSplits(file, ids)
	assert.ErrorContains(t, err, `names "other"`)
	for _, id := range ids[30:] {
		delete(groups, id)
	}
	_, err = SplitGroups(ids[:9], groups, Folds)
	assert.ErrorContains(t, err, "3 cases cannot be split into 5 folds")
}

func TestChangedFoldsSayWhichCasesMoved(t *testing.T) {
	before := Fold{Train: []string{"a", "b"}, Val: []string{"c"}}
	assert.Empty(t, Fold{Train: []string{"b", "a"}, Val: []string{"c"}}.Changed(before))
	now := Fold{Train: []string{"c", "d"}, Val: []string{"a"}}
	assert.Equal(t, "a was trained on and is held out, b was trained on and is left out, c was held out and is trained on, d was left out and is trained on", now.Changed(before))
}

func TestAHugeListOfFoldsIsRefusedUnread(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.json")
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	require.NoError(t, os.Truncate(file, 1<<34))
	_, err := LoadSplits(file, nil)
	require.ErrorContains(t, err, "16384 MiB")
}

func TestSplitsOfAnotherFormAreNamedInOurWords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.json")
	for _, text := range []string{`{"a": 1}`, `{"train": ["a"], "val": ["b"]}`, `[{"train": "a"}]`, `7`} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o666))
		_, err := LoadSplits(file, []string{"a", "b"})
		require.ErrorContains(t, err, "out of place: wanted a list of")
		assert.NotContains(t, err.Error(), "Go v")
		assert.NotContains(t, err.Error(), "cannot unmarshal")
	}
}
