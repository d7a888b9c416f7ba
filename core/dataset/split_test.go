package dataset

import (
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
	loaded, err := LoadSplits(file, ids)
	require.NoError(t, err)
	assert.Len(t, loaded, Folds)
	require.NoError(t, os.WriteFile(file, []byte(`[]`), 0o600))
	_, err = LoadSplits(file, ids)
	assert.ErrorContains(t, err, "has no folds")
	require.NoError(t, os.WriteFile(file, []byte(`{"other": "a"}`), 0o600))
	_, err = LoadSplits(file, ids)
	assert.ErrorContains(t, err, `names "other"`)
	_, err = SplitGroups(ids[:9], groups, Folds)
	assert.ErrorContains(t, err, "3 cases cannot be split into 5 folds")
}
