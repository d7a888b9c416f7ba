// Package queue keeps jobs and uploads in NATS JetStream, and hands jobs to
// workers of this and of other processes.
//
// The one idea: a job is a message on a work queue, which stays until a worker
// acknowledges it, and a record in a key-value bucket that says how far it is. The
// message is written first and removed last, so that whatever is killed in
// between, the next worker finds both and goes on; a record in a final state is
// never worked on again.
package queue

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
	"unique"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/gounet/gounet/internal/api"
)

// Names in JetStream.
const (
	streamName     = "GOUNET_JOBS"
	jobBucket      = "gounet_jobs"
	uploadBucket   = "gounet_uploads"
	subjectJobs    = "gounet.jobs"     // .CLASS.USER.ID
	subjectProcess = "gounet.progress" // .ID
	subjectWorkers = "gounet.workers"
)

// Options of Open. The zero value of each but Dir is sensible.
type Options struct {
	Dir    string // of the embedded server
	URL    string // of a NATS cluster to use instead
	Listen string // host:port at which the embedded server takes workers of other processes; "": none
	Token  string // that they and we show to the server

	Worker   string        // name of this process; random if not given
	AckWait  time.Duration // without a sign of life of its worker a job is given to another
	Attempts int           // before a job is given up
	Replicas int           // of streams in a cluster

	// Ended is told once of each job that ends, in whichever process; nil: nobody wants to
	// know. It must not change the job, nor wait.
	Ended func(r *Record)
}

// Record is a job as it is kept.
type Record struct {
	api.Job
	// Fingerprint is a hash of what was submitted, to notice another body under the
	// same key.
	Fingerprint string `json:"fingerprint,omitempty"`
}

func (r *Record) brief() Brief {
	b := Brief{
		Owner: unique.Make(r.Owner), State: unique.Make(r.State), Created: r.Created.UnixNano(), Over: api.JobOver(r.State), Dead: r.Dead,
		DICOM: slices.ContainsFunc(r.Results, func(f api.JobResult) bool { return f.MediaType == api.DICOMType }),
	}
	if r.Finished != nil {
		b.Ends = r.Finished.UnixNano()
	}
	return b
}

// UploadRecord is an upload as it is kept.
type UploadRecord struct {
	api.Upload
	Label *Label `json:"label,omitempty"` // nil of a scan
}

// Label says of which upload another is the label, as people submit it.
type Label struct {
	Image string `json:"image"` // an upload's id
	Tag   string `json:"tag"`
}

// brief is that of an upload, which is over when it has arrived whole.
func (u *UploadRecord) brief() Brief {
	return Brief{Owner: unique.Make(u.Owner), Created: u.Created.UnixNano(), Ends: u.Expires.UnixNano(), Over: u.Complete}
}

// Queue is the jobs, uploads and events that all processes see.
type Queue struct {
	Jobs    *Table[Record]
	Uploads *Table[UploadRecord]
	Hub     *Hub

	o       Options
	so      server.Options // of the embedded server
	serving sync.Mutex     // of who uses or replaces it
	server  *server.Server // nil if it is elsewhere
	health  health
	nc      *nats.Conn
	js      jetstream.JetStream
	stream  jetstream.Stream
	pick    picker
	running running
	workers workers
}

// Open starts or reaches NATS and reads what is there.
func Open(ctx context.Context, o Options) (*Queue, error) {
	if o.AckWait == 0 {
		o.AckWait = 30 * time.Second
	}
	if o.Attempts == 0 {
		o.Attempts = 3
	}
	if o.Worker == "" {
		o.Worker = ID()
	}
	q := &Queue{o: o, health: health{doubts: make(chan struct{}, 1), stop: func() {}, refused: map[string]*Record{}}}
	if err := q.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("queue: %w", err), q.Close())
	}
	return q, nil
}

func (q *Queue) open(ctx context.Context) (err error) {
	if err := q.connect(); err != nil {
		return err
	}
	if q.js, err = jetstream.New(q.nc); err != nil {
		return err
	}
	replicas := max(q.o.Replicas, 1)
	q.stream, err = q.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: streamName, Subjects: []string{subjectJobs + ".>"}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage,
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, Replicas: replicas, // a job is there once
	})
	if err != nil {
		return fmt.Errorf("stream %s: %w", streamName, err)
	}
	if q.server != nil && q.o.Listen == "" { // nobody but us had messages: what we had in hand is free
		if err := q.dropConsumers(ctx); err != nil {
			return err
		}
	}
	q.Hub = newHub()
	q.pick.wake = make(chan struct{}, 1)
	q.running.all = map[string]*Delivery{}
	if q.Jobs, err = openTable(ctx, q.js, jobBucket, replicas, (*Record).brief, q.jobChanged); err != nil {
		return err
	}
	if q.Uploads, err = openTable(ctx, q.js, uploadBucket, replicas, (*UploadRecord).brief, nil); err != nil {
		return err
	}
	q.Jobs.doubt, q.Uploads.doubt = q.health.doubt, q.health.doubt
	q.Jobs.follow()
	q.Uploads.follow()
	if _, err := q.nc.Subscribe(subjectProcess+".*", q.heard); err != nil {
		return err
	}
	if _, err := q.nc.Subscribe(subjectWorkers, q.heardWorker); err != nil {
		return err
	}
	if err := q.findSubjects(ctx); err != nil {
		return err
	}
	life, stop := context.WithCancel(context.Background())
	q.health.stop = stop
	q.health.wg.Go(func() { q.heal(life) })
	return nil
}

// connect starts the embedded server, or reaches the one at Options.URL.
func (q *Queue) connect() (err error) {
	options := []nats.Option{nats.Name("gounet " + q.o.Worker), nats.MaxReconnects(-1), nats.Token(q.o.Token)}
	if q.o.URL != "" {
		q.nc, err = nats.Connect(q.o.URL, options...)
		return err
	}
	q.so = server.Options{
		ServerName: "gounet", JetStream: true, StoreDir: q.o.Dir, DontListen: q.o.Listen == "", NoLog: true, NoSigs: true,
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 8 << 30, MaxPayload: 8 << 20, SyncAlways: true, Authorization: q.o.Token,
	}
	if q.o.Listen != "" {
		if q.so.Host, q.so.Port, err = hostPort(q.o.Listen); err != nil {
			return err
		}
	}
	if q.server, err = startServer(q.so); err != nil {
		return err
	}
	if at, ok := q.server.Addr().(*net.TCPAddr); ok {
		q.so.Port = at.Port // workers look for it there when it is opened anew
	}
	q.nc, err = nats.Connect("", append(options, nats.InProcessServer(q))...)
	return err
}

// startTime is enough for an embedded server to check a queue of a million jobs.
const startTime = time.Minute

// dropConsumers forgets who has which message, which makes all of them free.
func (q *Queue) dropConsumers(ctx context.Context) error {
	names := q.stream.ConsumerNames(ctx)
	var all []string
	for name := range names.Name() {
		all = append(all, name)
	}
	err := names.Err()
	for _, name := range all {
		err = errors.Join(err, q.stream.DeleteConsumer(ctx, name))
	}
	return err
}

// Check says why the queue cannot be used at the moment.
func (q *Queue) Check(ctx context.Context) error {
	if !q.nc.IsConnected() {
		return errors.New("queue: the connection to NATS is lost; it is tried again all the time")
	}
	if _, err := q.stream.Info(ctx); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	return q.health.why()
}

// Close ends the connection, and the embedded server.
func (q *Queue) Close() error {
	q.health.stop()
	q.health.wg.Wait()
	if q.nc != nil {
		q.nc.Close()
	}
	if q.server != nil {
		q.server.Shutdown()
		q.server.WaitForShutdown()
	}
	return nil
}

// Worker is the name of this process.
func (q *Queue) Worker() string { return q.o.Worker }

// ID is a new name, which nobody can guess.
func ID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
