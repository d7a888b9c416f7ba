package server

import (
	"context"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/internal/atomicfile"
)

// A CT of three slices (core/dicom/testdata/rt-utils).
const ctFolder = "../core/dicom/testdata/rt-utils"

// archive is a DICOMweb server with one series that takes what is stored.
type archive struct {
	*httptest.Server
	study, series string

	mu     sync.Mutex
	stored [][]byte
	full   bool
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	s, err := scan.Open(t.Context(), scan.Options{}, ctFolder)
	require.NoError(t, err)
	a := &archive{study: s.Series().StudyUID, series: s.Series().UID}
	require.NoError(t, s.Close())
	files, err := filepath.Glob(ctFolder + "/*.dcm")
	require.NoError(t, err)
	mux := http.NewServeMux()
	path := "/pacs/studies/" + a.study + "/series/" + a.series
	mux.HandleFunc("GET "+path+"/instances", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "[{},{},{}]")
	})
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		m := multipart.NewWriter(w)
		w.Header().Set("Content-Type", `multipart/related; type="application/dicom"; boundary=`+m.Boundary())
		for _, f := range files {
			b, _ := os.ReadFile(f)
			part, _ := m.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/dicom"}})
			_, _ = part.Write(b)
		}
		_ = m.Close()
	})
	mux.HandleFunc("POST /pacs/studies/"+a.study, func(w http.ResponseWriter, q *http.Request) {
		_, p, _ := mime.ParseMediaType(q.Header.Get("Content-Type"))
		part, err := multipart.NewReader(q.Body, p["boundary"]).NextPart()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		b, _ := io.ReadAll(part)
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.full {
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{"00081198":{"vr":"SQ","Value":[{"00081197":{"vr":"US","Value":[42752]}}]}}`)
			return
		}
		a.stored = append(a.stored, b)
		_, _ = io.WriteString(w, `{"00081199":{"vr":"SQ","Value":[{}]}}`)
	})
	a.Server = httptest.NewServer(mux)
	t.Cleanup(a.Close)
	return a
}

// segFormats has DICOM-SEG beside the formats of the library.
func segFormats(_ *api.Submit, _ *plan.Plan, seed []byte) []scan.Format {
	write := func(path string, s *scan.Scan, l *volume.Labels, segments []scan.Segment) error {
		o := dicom.WriteOptions{Seed: seed, Algorithm: dicom.Algorithm{Name: "test", Version: "1"}}
		for _, g := range segments {
			o.Segments = append(o.Segments, dicom.Segment{Label: g.Label, Name: g.Name})
		}
		return atomicfile.Write(path, func(w io.Writer) error { return s.Series().Volumes[0].WriteSEG(context.Background(), w, l, o) })
	}
	return append(scan.Formats(), scan.Format{Name: "seg", Endings: []string{".seg.dcm"}, Write: write})
}

func TestASeriesOfAnArchiveIsLabelledAndStoredThere(t *testing.T) {
	a := newArchive(t)
	o := testOptions(t)
	o.Formats, o.FormatNames = segFormats, append(o.FormatNames, "seg")
	o.Archives = map[string]Archive{"pacs": {URL: a.URL + "/pacs", Token: "secret"}, "closed": {URL: a.URL + "/pacs"}}
	r := start(t, o)
	in := api.DICOMwebInput{Archive: "pacs", Study: a.study, Series: a.series, Store: true}
	submit := func(in api.DICOMwebInput) api.Job {
		return r.wait(r.submit(api.Submit{Model: modelID, Mirror: new(bool), Step: 1, Inputs: []api.Input{{Dicomweb: &in}}, Formats: []string{"seg", "nifti"}}).ID)
	}
	j := submit(in)
	require.Equal(t, api.JobDone, j.State, "%+v", j.Failed)
	require.Len(t, a.stored, 1)
	at := slices.IndexFunc(j.Results, func(f api.JobResult) bool { return f.Format == "seg" })
	own := read(t, r.do("GET", j.Results[at].URL, nil), 200)
	assert.Equal(t, own, a.stored[0])

	// the same object by DICOMweb of ours
	type set map[string]struct{ Value []any }
	studies := decode[[]set](t, r.do("GET", "/dicomweb/studies", nil), 200)
	require.Len(t, studies, 1)
	assert.Equal(t, a.study, studies[0]["0020000D"].Value[0])
	series := decode[[]set](t, r.do("GET", "/dicomweb/studies/"+a.study+"/series?Modality=SEG", nil), 200)
	require.Len(t, series, 1)
	assert.Empty(t, decode[[]set](t, r.do("GET", "/dicomweb/studies/"+a.study+"/series?Modality=CT", nil), 200))
	uid, _ := series[0]["0020000E"].Value[0].(string)
	answer := r.do("GET", "/dicomweb/studies/"+a.study+"/series/"+uid, nil)
	_, p, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	require.NoError(t, err)
	part, err := multipart.NewReader(answer.Body, p["boundary"]).NextPart()
	require.NoError(t, err)
	b, err := io.ReadAll(part)
	require.NoError(t, err)
	assert.Equal(t, own, b)
	assert.Len(t, decode[[]set](t, r.do("GET", "/dicomweb/studies/"+a.study+"/series/"+uid+"/metadata", nil), 200), 1)
	refused(t, r.do("GET", "/dicomweb/studies/1.2.3", nil), http.StatusNotFound)

	a.full = true
	j = submit(in)
	assert.Equal(t, api.FailedFetch, j.Failed.Code)
	assert.Empty(t, j.Results)
	in.Archive = "closed"
	j = submit(in)
	assert.Equal(t, api.FailedFetch, j.Failed.Code)
	assert.Contains(t, j.Failed.Reason, "401")
	assert.Equal(t, r.queue.Attempts(), j.Attempts, "an archive may be away for a while")
}

// An archive that stops to answer fails its job; meanwhile others have their turn.
func TestASilentArchiveKeepsNobodyWaiting(t *testing.T) {
	for _, silentAt := range []string{"the list", "the first byte", "the middle"} {
		t.Run(silentAt, func(t *testing.T) {
			t.Parallel()
			asked, over := make(chan bool, 100), make(chan struct{})
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				if strings.HasSuffix(q.URL.Path, "/instances") && silentAt != "the list" {
					_, _ = io.WriteString(w, "[{},{},{}]")
					return
				}
				if silentAt == "the middle" {
					w.Header().Set("Content-Type", `multipart/related; boundary=x`)
					_, _ = io.WriteString(w, "--x\r\nContent-Type: application/dicom\r\n\r\nDICM")
					assert.NoError(t, http.NewResponseController(w).Flush())
				}
				asked <- true
				select {
				case <-over:
				case <-q.Context().Done():
				}
			}))
			t.Cleanup(web.Close)
			t.Cleanup(func() { close(over) })
			o := testOptions(t)
			o.Archives = map[string]Archive{"pacs": {URL: web.URL}}
			o.Bounds.ArchiveIdle, o.Attempts = 3*time.Second, 1
			r := start(t, o)
			silent := r.submit(api.Submit{Model: modelID, Inputs: []api.Input{{Dicomweb: &api.DICOMwebInput{Archive: "pacs", Study: "1.2", Series: "1.3"}}}})
			<-asked
			other := r.wait(r.submit(r.tiny()).ID)
			require.Equal(t, api.JobDone, other.State)
			j := r.wait(silent.ID)
			require.Equal(t, api.JobFailed, j.State)
			assert.Equal(t, api.FailedFetch, j.Failed.Code)
			assert.Contains(t, j.Failed.Reason, "silent")
			assert.True(t, other.Finished.Before(*j.Finished))
		})
	}
}

// While archives send scans, as many as there are who take jobs, nobody is taken twice.
func TestJobsOfSlowArchivesAreDoneOnce(t *testing.T) {
	a := newArchive(t)
	o := testOptions(t)
	o.Archives = map[string]Archive{"pacs": {URL: a.URL + "/pacs", Token: "secret"}}
	r := start(t, o)
	var ids []string
	for range 6 {
		in := api.DICOMwebInput{Archive: "pacs", Study: a.study, Series: a.series}
		ids = append(ids, r.submit(api.Submit{Model: modelID, Mirror: new(bool), Step: 1, Inputs: []api.Input{{Dicomweb: &in}}, Formats: []string{"nifti"}}).ID)
		ids = append(ids, r.submit(r.tiny()).ID)
	}
	for _, id := range ids {
		j := r.wait(id)
		require.Equal(t, api.JobDone, j.State, "%+v", j.Failed)
		assert.Equal(t, 1, j.Attempts)
	}
}

func TestOnlyUIDsReachAnArchive(t *testing.T) {
	assert.True(t, isUID("1.2.840.113619"))
	for _, s := range []string{"", ".", "1..2", "1.2/../..", "1.2?x=y", "a", "1.2.", strings.Repeat("1", 65)} {
		assert.False(t, isUID(s), s)
	}
}
