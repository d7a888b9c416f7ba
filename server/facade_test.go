package server

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/servertest"
)

// The requests of tritonclient.http in their order; bench/peers/serve_clients.py
// has the client itself.
func TestKServeInfersWithBinaryTensors(t *testing.T) {
	r := start(t, testOptions(t))
	assert.Equal(t, 200, r.do("GET", "/v2/health/live", nil).StatusCode)
	assert.Equal(t, 200, r.do("GET", "/v2/health/ready", nil).StatusCode)
	assert.Contains(t, string(read(t, r.do("GET", "/v2", nil), 200)), "binary_tensor_data")
	assert.Equal(t, 200, r.do("GET", "/v2/models/"+modelID+"/ready", nil).StatusCode)
	about := decode[map[string]any](t, r.do("GET", "/v2/models/"+modelID, nil), 200)
	assert.Equal(t, modelID, about["name"])
	assert.Contains(t, string(read(t, r.do("POST", "/v2/repository/index", nil), 200)), `"READY"`)

	im := servertest.Scan(small)
	var raw []byte
	for _, x := range im.Data {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	infer := func(inputs []map[string]any, body []byte, output map[string]any) *http.Response {
		head, err := json.Marshal(map[string]any{"id": "7", "inputs": inputs, "outputs": []any{output}})
		require.NoError(t, err)
		return r.do("POST", "/v2/models/"+modelID+"/infer", append(head, body...), headerLength, strconv.Itoa(len(head)))
	}
	image := map[string]any{"name": "image", "datatype": "FP32", "shape": []int{1, small[0], small[1], small[2]}, "parameters": map[string]any{"binary_data_size": len(raw)}}
	a := infer([]map[string]any{image}, raw, map[string]any{"name": "labels", "parameters": map[string]any{"binary_data": true}})
	b := read(t, a, 200)
	n, err := strconv.Atoi(a.Header.Get(headerLength))
	require.NoError(t, err)
	var head struct {
		ID      string
		Outputs []struct {
			Datatype string
			Shape    []int
		}
	}
	require.NoError(t, json.Unmarshal(b[:n], &head))
	assert.Equal(t, "7", head.ID)
	assert.Equal(t, small[:], head.Outputs[0].Shape)
	want := labelsOf(t, small)
	assert.Equal(t, want, b[n:])

	a = infer([]map[string]any{{"name": "image", "datatype": "FP32", "shape": small, "data": im.Data}}, nil, map[string]any{"name": "labels"})
	var text struct{ Outputs []struct{ Data []int } }
	require.NoError(t, json.Unmarshal(read(t, a, 200), &text))
	assert.Len(t, text.Outputs[0].Data, len(want))

	for name, in := range map[string]map[string]any{
		"too large":  {"name": "image", "datatype": "FP32", "shape": []int{1 << 20, 1 << 20, 1 << 20, 1 << 20}},
		"negative":   {"name": "image", "datatype": "FP32", "shape": []int{-1, 1, 1, 1}},
		"too short":  {"name": "image", "datatype": "FP32", "shape": []int{1, 2, 2, 2}, "parameters": map[string]any{"binary_data_size": 8}},
		"other type": {"name": "image", "datatype": "INT8", "shape": []int{1, 2, 2, 2}},
		"other name": {"name": "picture", "datatype": "FP32", "shape": []int{1}, "data": []int{1}},
		"no data":    {"name": "image", "datatype": "FP32", "shape": []int{1, 2, 2, 2}},
		"no number":  {"name": "image", "datatype": "FP32", "shape": []int{1, 1, 1, 1}, "data": []string{"x"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := read(t, infer([]map[string]any{in}, nil, map[string]any{"name": "labels"}), http.StatusBadRequest)
			assert.Contains(t, string(b), `"error":`)
		})
	}
	read(t, infer([]map[string]any{image, image}, append(raw, raw...), map[string]any{"name": "labels"}), http.StatusBadRequest)
	assert.Equal(t, 404, r.do("GET", "/v2/models/none", nil).StatusCode)
	uploads := decode[[]api.Upload](t, r.do("GET", "/api/v1/uploads", nil), 200)
	assert.Empty(t, uploads, "tensors do not stay")
}

// Tensors of requests have a share of the memory: what is larger is refused, and what
// does not fit beside others waits for them.
func TestTensorsOfRequestsHaveAShareOfTheMemory(t *testing.T) {
	o := testOptions(t)
	bytes := int64(4 * small[0] * small[1] * small[2])
	o.Bounds.HostBytes = tensorShare * 3 * bytes // one request, not two
	r := start(t, o)
	infer := func(shape [3]int) *http.Response {
		size := 4 * shape[0] * shape[1] * shape[2]
		head, err := json.Marshal(map[string]any{"inputs": []any{map[string]any{
			"name": "image", "datatype": "FP32", "shape": shape, "parameters": map[string]any{"binary_data_size": size},
		}}})
		require.NoError(t, err)
		return r.do("POST", "/v2/models/"+modelID+"/infer", append(head, make([]byte, size)...), headerLength, strconv.Itoa(len(head)))
	}
	read(t, infer([3]int{2 * small[0], small[1], small[2]}), http.StatusRequestEntityTooLarge)
	other := &hold{s: r.Server, ctx: t.Context(), user: "other", since: time.Now()}
	require.NoError(t, other.grow(2*bytes))
	answered := make(chan int, 1)
	go func() { answered <- infer(small).StatusCode }()
	select {
	case status := <-answered:
		require.Fail(t, "it does not wait", "%d", status)
	case <-time.After(100 * time.Millisecond):
	}
	other.leave()
	assert.Equal(t, http.StatusOK, <-answered)
	assert.True(t, r.tensors.TryAcquire(3*bytes), "all is given back")
}

// formOf is a form with a file and params, as MONAI Label's clients send it.
func formOf(t *testing.T, params, name string, file []byte) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if params != "" {
		require.NoError(t, w.WriteField("params", params))
	}
	if name != "" {
		f, err := w.CreateFormFile("file", name)
		require.NoError(t, err)
		_, err = f.Write(file)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes(), w.FormDataContentType()
}

// The requests of 3D Slicer's and OHIF's plugins.
func TestMONAILabelAnswersInAForm(t *testing.T) {
	r := start(t, testOptions(t))
	var info struct {
		Models map[string]struct {
			Type   string
			Labels map[string]int
		}
	}
	require.NoError(t, json.Unmarshal(read(t, r.do("GET", "/monai/info/", nil), 200), &info))
	assert.Equal(t, map[string]int{"front": 1, "back": 2}, info.Models[modelID].Labels)
	want := labelsOf(t, small)
	check := func(b []byte, name string) {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, b, 0o666))
		l, err := scan.ReadLabels(path)
		require.NoError(t, err)
		assert.Equal(t, want, l.Data)
		assert.InDelta(t, 1, l.Affine[0][0], 1e-6)
	}

	body, contentType := formOf(t, "", "scan.nii.gz", nifti(t, small))
	session := decode[map[string]any](t, r.do("PUT", "/monai/session/", body, "Content-Type", contentType), 200)
	id, _ := session["session_id"].(string)
	assert.Equal(t, 200, r.do("GET", "/monai/session/"+id, nil).StatusCode)
	body, contentType = formOf(t, `{"device":"cuda","result_extension":".nii.gz"}`, "", nil)
	a := r.do("POST", "/monai/infer/"+modelID+"?image=&session_id="+id, body, "Content-Type", contentType)
	require.Equal(t, 200, a.StatusCode)
	kind, p, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	require.NoError(t, err)
	assert.Equal(t, "multipart/form-data", kind)
	form := multipart.NewReader(a.Body, p["boundary"])
	parts := map[string][]byte{}
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		b, err := io.ReadAll(part)
		require.NoError(t, err)
		parts[part.FormName()] = b
	}
	assert.Contains(t, string(parts["params"]), `"label_names"`)
	check(parts["file"], "a.nii.gz")

	// OHIF names an image of the datastore and wants an uncompressed NRRD
	body, contentType = formOf(t, "", "case_1.nii.gz", nifti(t, small))
	assert.Equal(t, 200, r.do("PUT", "/monai/datastore/?image=case_1", body, "Content-Type", contentType).StatusCode)
	assert.Contains(t, string(read(t, r.do("GET", "/monai/datastore/?output=all", nil), 200)), "case_1")
	body, contentType = formOf(t, `{"result_extension":".nrrd","result_dtype":"uint8","result_compress":false,"restore_label_idx":false}`, "", nil)
	raw := read(t, r.do("POST", "/monai/infer/"+modelID+"?image=case_1&output=image", body, "Content-Type", contentType), 200)
	check(raw, "b.nrrd")
	assert.Equal(t, want, raw[len(raw)-len(want):], "bytes as they are")

	gone := read(t, r.do("POST", "/monai/infer/"+modelID+"?image=none", nil), http.StatusNotFound)
	assert.Contains(t, string(gone), `"detail"`)
	assert.Equal(t, 200, r.do("DELETE", "/monai/session/"+id, nil).StatusCode)
	assert.Equal(t, 404, r.do("GET", "/monai/session/"+id, nil).StatusCode)
}

// What a reader corrects and submits is kept with its scan, the last of a tag, and is
// no scan itself.
func TestMONAILabelKeepsSubmittedLabels(t *testing.T) {
	r := start(t, testOptions(t))
	body, contentType := formOf(t, "", "case_1.nii.gz", nifti(t, small))
	read(t, r.do("PUT", "/monai/datastore/?image=case_1", body, "Content-Type", contentType), 200)
	corrected := nifti(t, [3]int{1, 2, 3})
	for _, b := range [][]byte{nifti(t, small), corrected} {
		body, contentType = formOf(t, `{"label_info":[]}`, "case_1_corrected.nii.gz", b)
		read(t, r.do("PUT", "/monai/datastore/label?image=case_1", body, "Content-Type", contentType), 200)
	}
	body, contentType = formOf(t, "", "b.nii.gz", corrected)
	read(t, r.do("PUT", "/monai/datastore/label?image=case_1&tag=b", body, "Content-Type", contentType), 200)
	a := r.do("GET", "/monai/datastore/label?label=case_1&tag=final", nil)
	assert.Equal(t, corrected, read(t, a, 200))
	assert.Contains(t, a.Header.Get("Content-Disposition"), "case_1_corrected.nii.gz")
	assert.Equal(t, 200, r.do("HEAD", "/monai/datastore/label?image=case_1&tag=b", nil).StatusCode)
	var store struct {
		Objects map[string]struct {
			Labels map[string]struct{ Ext string }
		}
	}
	require.NoError(t, json.Unmarshal(read(t, r.do("GET", "/monai/datastore/?output=all", nil), 200), &store))
	assert.Equal(t, map[string]struct{ Ext string }{"final": {".nii.gz"}, "b": {".nii.gz"}}, store.Objects["case_1"].Labels)
	assert.NotContains(t, store.Objects, "case_1_corrected")
	assert.Contains(t, string(read(t, r.do("GET", "/monai/datastore/", nil), 200)), `"completed":1`)
	assert.Equal(t, 404, r.do("POST", "/monai/infer/"+modelID+"?image=case_1_corrected", nil).StatusCode)
	for what, code := range map[string]int{"image=none": 404, "image=case_1&tag=..%2Fb": 422, "image=case_1&tag=" + strings.Repeat("b", 65): 422} {
		body, contentType = formOf(t, "", "b.nii.gz", corrected)
		assert.Equal(t, code, r.do("PUT", "/monai/datastore/label?"+what, body, "Content-Type", contentType).StatusCode, what)
	}
	assert.Equal(t, 404, r.do("GET", "/monai/datastore/label?label=case_1&tag=none", nil).StatusCode)
	assert.Equal(t, 200, r.do("DELETE", "/monai/datastore/label?id=case_1&tag=b", nil).StatusCode)
	assert.Equal(t, 404, r.do("HEAD", "/monai/datastore/label?image=case_1&tag=b", nil).StatusCode)
	assert.Equal(t, 200, r.do("DELETE", "/monai/datastore/image?id=case_1", nil).StatusCode)
	assert.Contains(t, string(read(t, r.do("GET", "/monai/datastore/?output=all", nil), 200)), `"objects":{}`, "its labels are gone with an image")
}

// A run by VolView's backend contract.
func TestVolViewRunsATask(t *testing.T) {
	r := start(t, testOptions(t))
	assert.Contains(t, string(read(t, r.do("GET", "/volview/tasks", nil), 200)), modelID)
	assert.Contains(t, string(read(t, r.do("GET", "/volview/tasks/"+modelID+"/spec", nil), 200)), "sourceRef")
	body, contentType := formOf(t, "", "scan.nii.gz", nifti(t, small))
	staged := decode[struct{ URIs []string }](t, r.do("POST", "/volview/stage", body, "Content-Type", contentType), 200)
	run, err := json.Marshal(map[string]any{"values": map[string]any{"image": map[string]any{"type": "image", "format": "nifti", "uris": staged.URIs}}})
	require.NoError(t, err)
	ref := decode[struct{ JobID, State string }](t, r.do("POST", "/volview/tasks/"+modelID+"/run", run), 200)
	r.wait(ref.JobID)
	job := decode[map[string]any](t, r.do("GET", "/volview/jobs/"+ref.JobID, nil), 200)
	assert.Equal(t, "success", job["state"])
	results := decode[struct {
		Results []struct {
			Intent, URI string
			Segments    []struct{ Value int }
		}
	}](t, r.do("GET", "/volview/jobs/"+ref.JobID+"/results", nil), 200)
	require.Len(t, results.Results, 1)
	assert.Equal(t, "add-segment-group", results.Results[0].Intent)
	assert.Len(t, results.Results[0].Segments, 2)
	assert.Equal(t, 200, r.do("GET", results.Results[0].URI, nil).StatusCode)
	run, err = json.Marshal(map[string]any{"values": map[string]any{"image": map[string]any{"uris": []string{"http://evil.example/x"}}}})
	require.NoError(t, err)
	refused(t, r.do("POST", "/volview/tasks/"+modelID+"/run", run), http.StatusUnprocessableEntity)
	assert.Equal(t, http.StatusNoContent, r.do("DELETE", "/volview/jobs/"+ref.JobID, nil).StatusCode)
}
