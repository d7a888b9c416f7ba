package server

import (
	"net/http"
	"testing"
	"time"
	"unique"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

func TestTheOldestOfWhoHasMostGo(t *testing.T) {
	for name, c := range map[string]struct {
		rows, stay string // the newest first: a letter a user, an upper one stays
		kept       int
	}{
		"any":                         {"aabb", "AABB", 0},
		"as many as may be":           {"aabb", "AABB", 4},
		"one user":                    {"aaaa", "AAaa", 2},
		"the flood of one":            {"bbbbbbba", "BBBbbbbA", 4},
		"two floods":                  {"babababac", "BABAbabaC", 5},
		"room for one more":           {"bababac", "BABabaC", 4},
		"more users than may be kept": {"abcd", "ABcd", 2},
	} {
		t.Run(name, func(t *testing.T) {
			var owners []unique.Handle[string]
			for _, r := range c.rows {
				owners = append(owners, unique.Make(string(r)))
			}
			have := []byte(c.rows)
			for i, goes := range excess(owners, c.kept) {
				if !goes {
					have[i] -= 'a' - 'A'
				}
			}
			assert.Equal(t, c.stay, string(have))
		})
	}
}

// Who has many jobs and uploads pushes out nobody else's.
func TestAFloodOfOneUserTakesNothingFromOthers(t *testing.T) {
	r := withKeysAnd(t, func(o *Options) { o.Bounds.Kept = 4 })
	r.key = "user"
	theirs := r.tiny()
	done := r.wait(r.submit(theirs).ID)
	r.key = "other"
	for range 6 {
		r.wait(r.submit(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: r.upload([]byte("no scan")).ID}}}).ID)
	}
	require.NoError(t, r.cleanRecords(t.Context(), time.Now()))
	assert.Len(t, decode[api.JobList](t, r.do("GET", "/api/v1/jobs", nil), 200).Jobs, 3)
	assert.Len(t, decode[[]api.Upload](t, r.do("GET", "/api/v1/uploads", nil), 200), 3)
	r.key = "user"
	assert.Equal(t, http.StatusOK, r.do("GET", done.Results[0].URL, nil).StatusCode)
	assert.Equal(t, http.StatusOK, r.do("GET", "/api/v1/uploads/"+theirs.Inputs[0].Upload, nil).StatusCode)
}
