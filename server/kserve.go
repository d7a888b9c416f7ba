package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"

	"github.com/klauspost/compress/gzip"
	"github.com/labstack/echo/v4"

	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/engine"
	"github.com/gounet/gounet/server/queue"
)

// KServe v2, the Open Inference Protocol, with Triton's binary tensors. A model has
// the input image, FP32 [C D H W], and may get spacing, FP32 [3], D H W in mm; its
// output is labels, UINT8 [D H W].

const (
	headerLength = "Inference-Header-Content-Length"
	imageTensor  = "image"
	spaceTensor  = "spacing"
	labelTensor  = "labels"
)

func (s *Server) kserveRoutes(e *echo.Echo) {
	e.GET("/v2", s.kserveServer)
	e.GET("/v2/health/live", func(c echo.Context) error { return c.JSON(http.StatusOK, map[string]bool{"live": true}) })
	e.GET("/v2/health/ready", func(c echo.Context) error {
		if err := s.ready(c.Request().Context()); err != nil {
			return later(http.StatusServiceUnavailable, 10, "not ready: %v", err)
		}
		return c.JSON(http.StatusOK, map[string]bool{"ready": true})
	})
	e.POST("/v2/repository/index", s.kserveIndex)
	for _, root := range []string{"/v2/models/:model", "/v2/models/:model/versions/:version"} {
		e.GET(root, s.kserveModel)
		e.GET(root+"/ready", s.kserveReady)
		e.POST(root+"/infer", s.kserveInfer)
	}
}

func (s *Server) kserveServer(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]any{
		"name": "gounet", "version": s.o.Version, "extensions": []string{"binary_tensor_data", "model_repository"},
	})
}

func (s *Server) kserveIndex(c echo.Context) error {
	out := []map[string]string{}
	for _, m := range s.models.All() {
		state := "READY"
		if m.Problem != "" {
			state = "UNAVAILABLE"
		}
		out = append(out, map[string]string{"name": m.ID, "version": "1", "state": state, "reason": m.Problem})
	}
	return c.JSON(http.StatusOK, out)
}

// tensor is a tensor of a request or an answer.
type tensor struct {
	Name       string         `json:"name"`
	Datatype   string         `json:"datatype"`
	Shape      []int          `json:"shape"`
	Parameters map[string]any `json:"parameters,omitempty"`
	Data       json.Marshaler `json:"data,omitempty"`
}

func (s *Server) kserveModel(c echo.Context) error {
	m, err := s.kserveFind(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{
		"name": m.ID, "versions": []string{"1"}, "platform": "gounet_unet",
		"inputs": []tensor{
			{Name: imageTensor, Datatype: "FP32", Shape: []int{len(m.Channels), -1, -1, -1}},
			{Name: spaceTensor, Datatype: "FP32", Shape: []int{3}},
		},
		"outputs": []tensor{{Name: labelTensor, Datatype: "UINT8", Shape: []int{-1, -1, -1}}},
	})
}

func (s *Server) kserveFind(c echo.Context) (*engine.Model, error) {
	m, err := s.model(c.Param("model"))
	if err == nil && m.Problem != "" {
		err = wrong(http.StatusBadRequest, "model %s cannot be used: %s", m.ID, m.Problem)
	}
	if v := c.Param("version"); err == nil && v != "" && v != "1" {
		err = wrong(http.StatusNotFound, "model %s has version 1 only", m.ID)
	}
	return m, err
}

func (s *Server) kserveReady(c echo.Context) error {
	if _, err := s.kserveFind(c); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]bool{"ready": true})
}

// inferRequest is the JSON in front of an inference.
type inferRequest struct {
	ID         string `json:"id"`
	Parameters struct {
		BinaryOutput bool `json:"binary_data_output"`
	} `json:"parameters"`
	Inputs []struct {
		Name       string `json:"name"`
		Datatype   string `json:"datatype"`
		Shape      []int  `json:"shape"`
		Parameters struct {
			Size *int64 `json:"binary_data_size"`
		} `json:"parameters"`
		Data []float32 `json:"data"`
	} `json:"inputs"`
	Outputs []struct {
		Name       string `json:"name"`
		Parameters struct {
			Binary bool `json:"binary_data"`
		} `json:"parameters"`
	} `json:"outputs"`
}

func (s *Server) kserveInfer(c echo.Context) error {
	m, err := s.kserveFind(c)
	if err != nil {
		return err
	}
	if err := need(c, api.RoleUser); err != nil {
		return err
	}
	q, shape, u, err := s.inferInputs(c)
	if err != nil {
		return err
	}
	defer func() {
		s.audit(c, "delete", "upload", u.ID)
		_ = s.deleteUpload(context.WithoutCancel(c.Request().Context()), u.ID) // it expires otherwise
	}()
	r, err := s.label(c, api.Submit{Model: m.ID, Inputs: []api.Input{{Upload: u.ID}}, Formats: []string{"nifti"}})
	if err != nil {
		return err
	}
	l, err := s.labels(c, r, "nifti")
	if err != nil {
		return err
	}
	binaryOut := q.Parameters.BinaryOutput
	for _, o := range q.Outputs {
		if o.Name != labelTensor {
			return wrong(http.StatusBadRequest, "output %.40q: the model has %s", o.Name, labelTensor)
		}
		binaryOut = binaryOut || o.Parameters.Binary
	}
	return sendTensor(c, m.ID, q.ID, shape, l, binaryOut)
}

// sendTensor answers with the labels, as bytes behind the JSON or in it.
func sendTensor(c echo.Context, model, id string, shape [3]int, l []uint8, asBytes bool) error {
	out := tensor{Name: labelTensor, Datatype: "UINT8", Shape: shape[:]}
	if asBytes {
		out.Parameters = map[string]any{"binary_data_size": len(l)}
	} else {
		out.Data = numbers(l)
	}
	head, err := json.Marshal(map[string]any{"model_name": model, "model_version": "1", "id": id, "outputs": []tensor{out}})
	if err != nil || !asBytes {
		return c.JSONBlob(http.StatusOK, head)
	}
	h := c.Response().Header()
	h.Set(headerLength, strconv.Itoa(len(head)))
	h.Set(echo.HeaderContentLength, strconv.Itoa(len(head)+len(l)))
	return c.Stream(http.StatusOK, echo.MIMEOctetStream, io.MultiReader(bytes.NewReader(head), bytes.NewReader(l)))
}

// numbers are bytes as a list of numbers in JSON.
type numbers []uint8

// MarshalJSON implements json.Marshaler.
func (n numbers) MarshalJSON() ([]byte, error) {
	b := make([]byte, 1, 2*len(n)+2)
	b[0] = '['
	for i, v := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(v), 10)
	}
	return append(b, ']'), nil
}

const (
	// mostText bounds JSON with tensors in it, which takes several times as much memory.
	mostText     = 64 << 20
	textMemory   = 8 // bytes for each of the text: itself, numbers of four bytes in a list that grows, the scan
	tensorCopies = 2 // themselves, and the scan of them
	tensorShare  = 4 // of the memory for scans, a quarter may be tensors
)

// mostHeader bounds JSON that has no tensors in it.
const mostHeader = 1 << 20

// inferInputs reads the request and makes an upload of its tensors, whose scan has a
// shape (D H W).
func (s *Server) inferInputs(c echo.Context) (q *inferRequest, shape [3]int, u *queue.UploadRecord, err error) {
	r := c.Request()
	var body io.Reader = http.MaxBytesReader(c.Response(), r.Body, s.o.Bounds.UploadBytes)
	isZip := r.Header.Get(echo.HeaderContentEncoding) == "gzip"
	if isZip {
		if body, err = gzip.NewReader(body); err != nil {
			return nil, shape, nil, wrong(http.StatusBadRequest, "the body is no gzip, as its Content-Encoding says")
		}
	}
	h := s.hold(c)
	defer h.leave()
	if text := r.Header.Get(headerLength); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 || n > mostHeader {
			return nil, shape, nil, wrong(http.StatusBadRequest, "%s is %.20q, wanted 1 to %d bytes", headerLength, text, mostHeader)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(body, b); err != nil {
			return nil, shape, nil, wrong(http.StatusBadRequest, "the body ends within its JSON")
		}
		if q, err = inferHead(bytes.NewReader(b)); err != nil {
			return nil, shape, nil, err
		}
	} else {
		if n := r.ContentLength; n >= 0 && !isZip {
			if err := h.fits(textMemory * min(n, mostText)); err != nil {
				return nil, shape, nil, err
			}
		}
		if q, err = inferHead(h.metered(io.LimitReader(body, mostText), textMemory)); err != nil {
			return nil, shape, nil, err
		}
		body = h.metered(body, textMemory)
	}
	total, err := s.inferBytes(q)
	if err != nil {
		return nil, shape, nil, err
	}
	if !h.begun() {
		if err := h.fits(tensorCopies * total); err != nil {
			return nil, shape, nil, err
		}
		body = h.metered(body, tensorCopies)
	}
	im, err := inferImage(q, body)
	if err != nil {
		return nil, shape, nil, err
	}
	u, err = s.hand(c, "image.nii.gz", func(path string) error { return scan.WriteImage(path, im, nil) })
	return q, im.Shape, u, err
}

func inferHead(r io.Reader) (*inferRequest, error) {
	q := &inferRequest{}
	if err := json.NewDecoder(r).Decode(q); err != nil {
		if p := (*problem)(nil); errors.As(err, &p) {
			return nil, p
		}
		return nil, wrong(http.StatusBadRequest, "the JSON is no inference request: %v", err)
	}
	return q, nil
}

// inferBytes checks what a request says of its tensors, and sums their bytes.
func (s *Server) inferBytes(q *inferRequest) (total int64, err error) {
	seen := map[string]bool{}
	for _, in := range q.Inputs {
		n := int64(1)
		for _, d := range in.Shape {
			if d < 1 || n > s.o.Bounds.VolumeBytes/4/int64(d) {
				return 0, wrong(http.StatusBadRequest, "input %.40q of shape %v: wanted sizes above 0 and at most %d MiB", in.Name, in.Shape, s.o.Bounds.VolumeBytes>>20)
			}
			n *= int64(d)
		}
		switch size := in.Parameters.Size; {
		case in.Name != imageTensor && in.Name != spaceTensor || seen[in.Name]:
			return 0, wrong(http.StatusBadRequest, "input %.40q is unknown or comes twice: wanted %s and %s", in.Name, imageTensor, spaceTensor)
		case in.Datatype != "FP32":
			return 0, wrong(http.StatusBadRequest, "input %.40q is %.10q, wanted FP32", in.Name, in.Datatype)
		case size != nil && *size != 4*n:
			return 0, wrong(http.StatusBadRequest, "input %.40q has %d bytes, its shape %v wants %d", in.Name, *size, in.Shape, 4*n)
		case size == nil && int64(len(in.Data)) != n:
			return 0, wrong(http.StatusBadRequest, "input %.40q has %d values, its shape %v wants %d", in.Name, len(in.Data), in.Shape, n)
		}
		seen[in.Name] = true
		total += 4 * n
	}
	return total, nil
}

// inferImage makes a scan of the tensors, of which some come behind the JSON.
func inferImage(q *inferRequest, body io.Reader) (_ *volume.Image, err error) {
	var data []float32
	var shape []int
	spacing := []float32{1, 1, 1}
	for _, in := range q.Inputs {
		values := in.Data
		if size := in.Parameters.Size; size != nil {
			if values, err = readFloats(body, int(*size/4)); err != nil {
				return nil, bodyError(err)
			}
		}
		if in.Name == imageTensor {
			data, shape = values, in.Shape
		} else {
			spacing = values
		}
	}
	return imageOf(data, shape, spacing)
}

// readFloats reads n little-endian numbers; memory grows with what comes.
func readFloats(r io.Reader, n int) ([]float32, error) {
	const piece = 1 << 20 // values
	var out []float32
	b := make([]byte, 4*min(n, piece))
	for len(out) < n {
		b = b[:4*min(n-len(out), piece)]
		if _, err := io.ReadFull(r, b); err != nil {
			if p := (*problem)(nil); errors.As(err, &p) {
				return nil, p
			}
			return nil, io.ErrUnexpectedEOF
		}
		for i := 0; i < len(b); i += 4 {
			out = append(out, math.Float32frombits(binary.LittleEndian.Uint32(b[i:])))
		}
	}
	return out, nil
}

// imageOf makes a scan of [C D H W], or [1 C D H W], or [D H W] of one channel.
func imageOf(data []float32, shape []int, spacing []float32) (*volume.Image, error) {
	if len(shape) == 5 && shape[0] == 1 {
		shape = shape[1:]
	}
	if len(shape) == 3 {
		shape = append([]int{1}, shape...)
	}
	if len(shape) != 4 || len(spacing) != 3 {
		return nil, wrong(http.StatusBadRequest, "wanted %s of shape [C D H W] and %s of [3]", imageTensor, spaceTensor)
	}
	g := volume.Grid{Shape: [3]int(shape[1:])}
	for a, mm := range spacing {
		if !(mm > 0) || math.IsInf(float64(mm), 0) {
			return nil, wrong(http.StatusBadRequest, "%s is %v, wanted mm above 0 (D H W)", spaceTensor, spacing)
		}
		g.Spacing[a] = float64(mm)
		g.Affine[2-a][2-a] = float64(mm)
	}
	g.Affine[3][3] = 1
	c, voxels := shape[0], shape[1]*shape[2]*shape[3]
	im := volume.NewImage(g, c)
	for k := range c {
		for v := range voxels {
			im.Data[v*c+k] = data[k*voxels+v]
		}
	}
	return im, nil
}
