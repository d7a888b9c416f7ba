package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

// childEnv makes the test's program a server in the folder that it names.
const childEnv = "GOUNET_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		serveChild()
	}
	os.Exit(m.Run())
}

// serveChild is a server that is there to be killed.
func serveChild() {
	var plain plainOptions
	if err := json.Unmarshal([]byte(os.Getenv(childEnv)), &plain); err != nil {
		panic(err)
	}
	if plain.Worker {
		workChild(plain)
	}
	o := complete(Options{NATS: plain.NATS, Data: plain.Data, Models: plain.Models, Bounds: plain.Bounds, AckWait: plain.AckWait, Attempts: plain.Attempts})
	if plain.NATS != "" {
		o.Devices = nil // those of the workers
	}
	s, err := New(context.Background(), o)
	if err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("http://" + l.Addr().String())
	panic(http.Serve(l, s.Handler()))
}

// child is a server in a process of its own.
type child struct {
	cmd     *exec.Cmd
	address string
}

func startChild(t *testing.T, o plainOptions) *child {
	t.Helper()
	b, err := json.Marshal(o)
	require.NoError(t, err)
	c := &child{cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(b))
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	c.address = strings.TrimSpace(line)
	return c
}

func (c *child) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Kill())
	_ = c.cmd.Wait() // killed
}

// witness is what clients were told.
type witness struct {
	address string
	file    []byte

	mu      sync.Mutex
	uploads map[string]int64   // bytes that were acknowledged
	jobs    map[string]string  // ids by keys
	done    map[string]api.Job // as they were seen
	strange []string
}

// call sends a request; ok is false if the server was killed meanwhile.
func (w *witness) call(ctx context.Context, method, path string, body []byte, header ...string) (status int, answer http.Header, b []byte, ok bool) {
	r, err := http.NewRequestWithContext(ctx, method, w.address+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, false
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0, nil, nil, false
	}
	defer func() { _ = a.Body.Close() }()
	b, err = io.ReadAll(a.Body)
	return a.StatusCode, a.Header, b, err == nil
}

// enough says whether so many jobs were acknowledged, or no more will be.
func (w *witness) enough(jobs int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.jobs) >= jobs || len(w.strange) > 0
}

func (w *witness) see(format string, args ...any) {
	w.mu.Lock()
	w.strange = append(w.strange, fmt.Sprintf(format, args...))
	w.mu.Unlock()
}

// upload sends the file in pieces and remembers what was acknowledged.
func (w *witness) upload(ctx context.Context) (id string) {
	name := base64.StdEncoding.EncodeToString([]byte("scan.nii.gz"))
	status, h, b, ok := w.call(ctx, "POST", tusPath, nil, "Tus-Resumable", tusVersion, "Upload-Length", strconv.Itoa(len(w.file)), "Upload-Metadata", "filename "+name)
	if !ok {
		return ""
	}
	if status != http.StatusCreated {
		w.see("create: %d %s", status, b)
		return ""
	}
	id = h.Get("Location")[len(tusPath)+1:]
	w.mu.Lock()
	w.uploads[id] = 0
	w.mu.Unlock()
	if !w.goOn(ctx, id, 0) {
		return ""
	}
	return id
}

// goOn sends the rest of an upload.
func (w *witness) goOn(ctx context.Context, id string, at int64) bool {
	for at < int64(len(w.file)) {
		piece := w.file[at:min(at+int64(len(w.file)/3+1), int64(len(w.file)))]
		status, h, b, ok := w.call(ctx, "PATCH", tusPath+"/"+id, piece, "Tus-Resumable", tusVersion, "Upload-Offset", strconv.FormatInt(at, 10), "Content-Type", tusType)
		if !ok {
			return false
		}
		if status != http.StatusNoContent {
			w.see("patch %s at %d: %d %s", id, at, status, b)
			return false
		}
		at, _ = strconv.ParseInt(h.Get("Upload-Offset"), 10, 64)
		w.mu.Lock()
		w.uploads[id] = at
		w.mu.Unlock()
	}
	return true
}

// client uploads and submits until the server is gone.
func (w *witness) client(ctx context.Context, r *rand.Rand) {
	for ctx.Err() == nil {
		id := w.upload(ctx)
		if id == "" {
			return
		}
		key := strconv.FormatUint(r.Uint64(), 36)
		body, _ := json.Marshal(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: id}}, Formats: []string{"nifti"}, Statistics: r.IntN(2) == 0})
		status, _, b, ok := w.call(ctx, "POST", "/api/v1/jobs", body, "Idempotency-Key", key)
		if !ok {
			return
		}
		var j api.Job
		if err := json.Unmarshal(b, &j); err != nil || status != http.StatusCreated {
			w.see("submit: %d %s", status, b)
			return
		}
		w.mu.Lock()
		w.jobs[key] = j.ID
		w.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(r.IntN(120)) * time.Millisecond):
		}
	}
}

// look asks for every job and compares with what was seen before.
func (w *witness) look(ctx context.Context, t *testing.T) (unfinished int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, id := range w.jobs {
		status, _, b, ok := w.call(ctx, "GET", "/api/v1/jobs/"+id, nil)
		if !ok {
			return 1
		}
		var j api.Job
		require.Equal(t, http.StatusOK, status, "job %s of key %s was acknowledged", id, key)
		require.NoError(t, json.Unmarshal(b, &j))
		before, was := w.done[id]
		switch {
		case was:
			require.Equal(t, before.Finished, j.Finished, "a finished job does not run again")
			require.Equal(t, before.Attempts, j.Attempts)
			require.Equal(t, before.Results, j.Results)
		case j.State == api.JobDone:
			w.done[id] = j
		case api.JobOver(j.State):
			require.Fail(t, "a job was lost", "%s: %+v", j.State, j.Failed)
		default:
			unfinished++
		}
	}
	return unfinished
}

// Uploads and jobs survive SIGKILL at any moment: what was acknowledged is there, no
// result is half written, and a finished job does not run again.
func TestNothingAcknowledgedIsLostByKills(t *testing.T) {
	kills := 8
	if os.Getenv("GOUNET_LONG") != "" {
		kills = 60
	}
	if testing.Short() {
		kills = 2
	}
	o := testOptions(t)
	o.Attempts = 1000 // it is us who kill them
	plain := plainOptions{Data: o.Data, Models: o.Models, Bounds: o.Bounds, AckWait: o.AckWait, Attempts: o.Attempts}
	shape := [3]int{17, 16, 15}
	w := &witness{file: nifti(t, shape), uploads: map[string]int64{}, jobs: map[string]string{}, done: map[string]api.Job{}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	r := rand.New(rand.NewPCG(7, 7))
	for life := range kills {
		c := startChild(t, plain)
		w.address = c.address
		w.look(ctx, t)
		for id, acknowledged := range w.uploads {
			status, h, _, _ := w.call(ctx, "HEAD", tusPath+"/"+id, nil, "Tus-Resumable", tusVersion)
			require.Equal(t, http.StatusOK, status, "upload %s was acknowledged", id)
			have, err := strconv.ParseInt(h.Get("Upload-Offset"), 10, 64)
			require.NoError(t, err)
			require.GreaterOrEqual(t, have, acknowledged)
			if have < int64(len(w.file)) && r.IntN(2) == 0 {
				require.True(t, w.goOn(ctx, id, have), "it goes on where it stopped: %v", w.strange)
			}
		}
		alive, end := context.WithCancel(ctx)
		var wg sync.WaitGroup
		for range 2 {
			seeded := rand.New(rand.NewPCG(r.Uint64(), 1))
			wg.Go(func() { w.client(alive, seeded) })
		}
		for !w.enough(life/2+2) && ctx.Err() == nil { // a slow machine gets as far as others do
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Duration(20+r.IntN(500)) * time.Millisecond) // what the kill interrupts is chance
		c.kill(t)
		end()
		wg.Wait()
		require.Empty(t, w.strange)
	}
	c := startChild(t, plain)
	defer c.kill(t)
	w.address = c.address
	for w.look(ctx, t) > 0 && ctx.Err() == nil {
		time.Sleep(100 * time.Millisecond)
	}
	require.NoError(t, ctx.Err())
	require.Greater(t, len(w.done), kills/2)
	t.Logf("%d kills, %d uploads, %d jobs", kills, len(w.uploads), len(w.done))
	again := 0
	for id, j := range w.done {
		require.NotEmpty(t, j.Results)
		for _, f := range j.Results {
			status, _, b, ok := w.call(ctx, "GET", f.URL, nil)
			require.True(t, ok)
			require.Equal(t, http.StatusOK, status)
			sum := sha256.Sum256(b)
			require.Equal(t, f.SHA256, hex.EncodeToString(sum[:]), "result %s of %s is whole", f.Name, id)
		}
		again += j.Attempts - 1
	}
	t.Logf("%d attempts were interrupted", again)
	for key, id := range w.jobs { // the keys are still known
		body, _ := json.Marshal(api.Submit{Model: modelID})
		status, _, _, _ := w.call(ctx, "POST", "/api/v1/jobs", body, "Idempotency-Key", key)
		require.Equal(t, http.StatusUnprocessableEntity, status, "key %s of job %s with another body", key, id)
		break
	}
}
