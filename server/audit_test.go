package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/blob"
)

// journal is a log that can be read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(b)
}

// text is what was written since the last call.
func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.b.Reset()
	return j.b.String()
}

// audited are the lines of the audit log since the last call, as "action kind id".
func (j *journal) audited(t *testing.T) (lines []string) {
	t.Helper()
	for line := range bytes.Lines([]byte(j.text())) {
		var e struct{ Msg, Action, Kind, ID, From string }
		require.NoError(t, json.Unmarshal(line, &e))
		if e.Msg == "audit" {
			assert.Equal(t, "127.0.0.1", e.From)
			lines = append(lines, e.Action+" "+e.Kind+" "+e.ID)
		}
	}
	return lines
}

// Whatever protocol a scan comes by and its labels go by, the audit log tells of each.
func TestTheAuditLogTellsOfEveryProtocol(t *testing.T) {
	log := &journal{}
	r := withKeysAnd(t, func(o *Options) { o.Log = slog.New(slog.NewJSONHandler(log, nil)) })
	r.key = "user"
	newest := func() (upload, job string) {
		if all := r.queue.Uploads.Newest(1, "", anyRow); len(all) > 0 {
			upload = all[0]
		}
		if all := r.queue.Jobs.Newest(1, "", anyRow); len(all) > 0 {
			job = all[0]
		}
		return upload, job
	}

	body, contentType := formOf(t, "", "scan.nii.gz", nifti(t, small))
	read(t, r.do("PUT", "/monai/session/", body, "Content-Type", contentType), 200)
	session, _ := newest()
	assert.Equal(t, []string{"create upload " + session}, log.audited(t))
	read(t, r.do("GET", "/monai/session/"+session+"?image=true", nil), 200)
	assert.Equal(t, []string{"read upload " + session}, log.audited(t))
	body, contentType = formOf(t, "", "case_1.nii.gz", nifti(t, small))
	read(t, r.do("PUT", "/monai/datastore/?image=case_1", body, "Content-Type", contentType), 200)
	stored, _ := newest()
	read(t, r.do("GET", "/monai/datastore/image?image=case_1", nil), 200)
	assert.Equal(t, []string{"create upload " + stored, "read upload " + stored}, log.audited(t))
	for _, query := range []string{"output=all", "output=image", "raw"} {
		params := `{"result_extension":".nrrd"}`
		if query == "raw" {
			params = `{"result_extension":".nrrd","result_compress":false}`
		}
		body, contentType = formOf(t, params, "", nil)
		read(t, r.do("POST", "/monai/infer/"+modelID+"?image=case_1&"+query, body, "Content-Type", contentType), 200)
		_, job := newest()
		assert.Equal(t, []string{"submit job " + job, "read result " + job}, log.audited(t), query)
	}

	size := 4 * small[0] * small[1] * small[2]
	head, err := json.Marshal(map[string]any{"inputs": []any{map[string]any{
		"name": "image", "datatype": "FP32", "shape": small, "parameters": map[string]any{"binary_data_size": size},
	}}})
	require.NoError(t, err)
	read(t, r.do("POST", "/v2/models/"+modelID+"/infer", append(head, make([]byte, size)...), headerLength, strconv.Itoa(len(head))), 200)
	_, job := newest()
	lines := log.audited(t)
	require.Len(t, lines, 4)
	assert.Regexp(t, "^create upload ", lines[0])
	assert.Equal(t, []string{"submit job " + job, "read result " + job}, lines[1:3])
	assert.Equal(t, "delete"+lines[0][len("create"):], lines[3])

	r.key = "guessed"
	refused(t, r.do("GET", "/api/v1/jobs/"+job, nil), http.StatusUnauthorized)
	assert.Equal(t, []string{"refuse route /api/v1/jobs/:id"}, log.audited(t))
}

// What is wrong with a scan has names of files, which may be patients': the log has none.
func TestTheLogHasNoNamesOfFiles(t *testing.T) {
	log := &journal{}
	o := testOptions(t)
	o.Log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r := start(t, o)
	const name = "MUELLER_HANS_1950"
	for _, ending := range []string{".dcm", ".nii.gz", ".zip"} {
		u := decode[api.Upload](t, r.do("POST", "/api/v1/uploads?name="+name+ending, []byte("no scan")), http.StatusCreated)
		j := r.wait(r.submit(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: u.ID}}}).ID)
		require.Equal(t, api.FailedScan, j.Failed.Code)
		assert.Contains(t, j.Failed.Reason, name, "its owner reads which")
	}
	r.stop() // all is written
	text := log.text()
	assert.Contains(t, text, `"code":"scan"`)
	assert.NotContains(t, text, name)
	assert.NotContains(t, text, filepath.Base(o.Data)+"/", "nor paths")
}

// namingStore has no room for results, and says of which.
type namingStore struct{ blob.Store }

func (n namingStore) PutFile(ctx context.Context, name, path string) error {
	if strings.HasPrefix(name, "results/") {
		return fmt.Errorf("%s: %w", path, blob.ErrFull)
	}
	return n.Store.PutFile(ctx, name, path)
}

// Nor has it those of protocols in whose requests a job is done.
func TestTheLogHasNoNamesOfFilesOfForms(t *testing.T) {
	const name = "MUELLER_HANS"
	log := &journal{}
	o := testOptions(t)
	o.Log = slog.New(slog.NewJSONHandler(log, nil))
	folder, err := blob.OpenFolder(t.TempDir(), 0)
	require.NoError(t, err)
	o.Blobs = namingStore{folder}
	r := start(t, o)
	body, contentType := formOf(t, "", name+".nii.gz", nifti(t, small))
	b := read(t, r.do("POST", "/monai/infer/"+modelID, body, "Content-Type", contentType), http.StatusInternalServerError)
	assert.Contains(t, string(b), name, "its owner reads which")
	c := echo.New().NewContext(httptest.NewRequestWithContext(t.Context(), "PUT", "/", nil), httptest.NewRecorder())
	c.Set(identityKey, identity{"local", api.RoleAdmin})
	_, err = r.hand(c, name+".nii.gz", func(path string) error { return errors.New(path) })
	assert.NotContains(t, err.Error(), name)
	r.stop() // all is written
	text := log.text()
	assert.Contains(t, text, `has failed: disk"`)
	assert.NotContains(t, text, name)
}
