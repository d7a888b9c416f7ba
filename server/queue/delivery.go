package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/gounet/gounet/internal/api"
)

// ErrNotOurs says that a job was given to another worker, or deleted: what was made
// of it is to be thrown away.
var ErrNotOurs = errors.New("the job is another worker's by now")

// ErrCancelled is the cause of the end of a delivery's context when the job was
// cancelled.
var ErrCancelled = errors.New("cancelled")

// running are the jobs of this process, to tell them of changes.
type running struct {
	mu  sync.Mutex
	all map[string]*Delivery
}

func (r *running) get(id string) *Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[id]
}

// Delivery is a job in the hands of this worker.
type Delivery struct {
	*Record
	// Context ends when the job is cancelled (its cause is ErrCancelled), or is not
	// ours any more (ErrNotOurs).
	Context context.Context

	q     *Queue
	mu    sync.Mutex
	msg   jetstream.Msg // the last that was delivered
	begun string        // which attempt this is
	stop  context.CancelCauseFunc
	ended chan struct{}
}

// claim makes the job of a message ours, if there is anything to do for it.
func (q *Queue) claim(ctx context.Context, msg jetstream.Msg) (*Delivery, error) {
	ctx = context.WithoutCancel(ctx) // a job that is begun goes on when no new ones are wanted
	sent := new(Record)
	if err := json.Unmarshal(msg.Data(), sent); err != nil || sent.ID == "" {
		return nil, msg.TermWithReason("no job of this version")
	}
	if q.health.refusal(sent.ID) != nil {
		return nil, msg.Ack()
	}
	if d := q.running.get(sent.ID); d != nil { // ours all the time; its signs of life were late
		d.mu.Lock()
		d.msg = msg
		d.mu.Unlock()
		return nil, nil
	}
	if err := q.Jobs.Create(ctx, sent.ID, sent); err != nil && !errors.Is(err, ErrExists) { // its submit was killed between message and record
		_ = msg.NakWithDelay(time.Second)
		return nil, err
	}
	over := errors.New("over")
	r, err := q.Jobs.Update(ctx, sent.ID, func(r *Record) error {
		now := time.Now().UTC()
		switch {
		case api.JobOver(r.State):
			return over
		case r.Cancelling:
			r.State, r.Finished, r.Cancelling = api.JobCancelled, &now, false
		case r.Attempts >= q.o.Attempts:
			r.State, r.Finished, r.Dead = api.JobFailed, &now, true
			r.Failed = &api.Failed{
				Code: api.FailedCrashed, Reason: fmt.Sprintf("each of %d workers that began with it ended before it was done", r.Attempts),
				Do: "look into the server's log; a scan that needs more memory than it says is the usual reason",
			}
		default:
			r.State, r.Started, r.Worker = api.JobRunning, &now, q.o.Worker
			r.Attempts++
		}
		return nil
	})
	switch {
	case errors.Is(err, over), err == nil && api.JobOver(r.State), errors.Is(err, ErrNotFound):
		return nil, msg.Ack()
	case err != nil:
		_ = msg.NakWithDelay(time.Second)
		return nil, err
	}
	d := &Delivery{Record: r, q: q, msg: msg, begun: beginning(r), ended: make(chan struct{})}
	d.Context, d.stop = context.WithCancelCause(ctx)
	q.running.mu.Lock()
	q.running.all[r.ID] = d
	q.running.mu.Unlock()
	if now, ok := q.Jobs.Open(r.ID); ok {
		d.told(now) // a change since the claim
	}
	go d.live()
	return d, nil
}

// beginning names an attempt: no other has the same worker and number.
func beginning(r *Record) string { return fmt.Sprintf("%s/%d", r.Worker, r.Attempts) }

// live tells JetStream that we are alive, until the delivery is over or another's.
func (d *Delivery) live() {
	beat := time.NewTicker(d.q.o.AckWait / 4)
	defer beat.Stop()
	for {
		select {
		case <-d.ended:
			return
		case <-beat.C:
			if errors.Is(context.Cause(d.Context), ErrNotOurs) {
				return
			}
			_ = d.message().InProgress() // else it is given to another
		}
	}
}

func (d *Delivery) message() jetstream.Msg {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.msg
}

// told is called when the record has changed.
func (d *Delivery) told(r *Record) {
	switch {
	case r == nil || r.State == api.JobRunning && beginning(r) != d.begun:
		d.stop(ErrNotOurs)
	case r.Cancelling:
		d.stop(ErrCancelled)
	}
}

// update changes the record, if the job is still ours.
func (d *Delivery) update(ctx context.Context, change func(*Record)) error {
	r, err := d.q.Jobs.Update(ctx, d.ID, func(r *Record) error {
		if r.State != api.JobRunning || beginning(r) != d.begun {
			return ErrNotOurs
		}
		change(r)
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return ErrNotOurs
	}
	if err == nil {
		d.Record = r
	}
	return err
}

// Update changes what the record says, such as the grid of the scan.
func (d *Delivery) Update(ctx context.Context, change func(*Record)) error {
	return d.update(ctx, change)
}

// Finish gives the job its final state, which change sets.
func (d *Delivery) Finish(ctx context.Context, change func(*Record)) error {
	defer d.over()
	err := d.update(ctx, func(r *Record) {
		now := time.Now().UTC()
		r.Finished, r.Cancelling = &now, false
		change(r)
	})
	if err != nil {
		return err
	}
	return d.message().Ack() // if that gets lost, the next worker sees that there is nothing to do
}

// Release gives the job back to the queue, to be begun anew: after a failure that
// counts as an attempt, or without.
func (d *Delivery) Release(ctx context.Context, counts bool, after time.Duration) error {
	err := d.update(ctx, func(r *Record) {
		r.State, r.Worker, r.Started, r.Device = api.JobQueued, "", nil, ""
		if !counts {
			r.Attempts--
		}
	})
	d.over() // before its message is there again, which may come to this process
	if err != nil {
		return err
	}
	err = d.message().NakWithDelay(after)
	d.q.pick.add(laneOf(d.Record)) // its message is there again
	return err
}

func (d *Delivery) over() {
	close(d.ended)
	d.stop(ErrNotOurs)
	d.q.running.mu.Lock()
	delete(d.q.running.all, d.ID)
	d.q.running.mu.Unlock()
}

// Attempts is how often a job is begun before it is given up.
func (q *Queue) Attempts() int { return q.o.Attempts }

// Progress tells all who watch the job. It is not kept.
func (d *Delivery) Progress(p api.Progress) {
	b, err := json.Marshal(p)
	if err == nil {
		_ = d.q.nc.Publish(subjectProcess+"."+d.ID, b)
	}
}

// Cancel ends a job: at once where it waits, within one submit to the device where
// it runs.
func (q *Queue) Cancel(ctx context.Context, id string) (*Record, error) {
	return q.Jobs.Update(ctx, id, func(r *Record) error {
		switch r.State {
		case api.JobQueued:
			now := time.Now().UTC()
			r.State, r.Finished = api.JobCancelled, &now
			r.Failed = &api.Failed{Code: api.FailedCancelled, Reason: "it was cancelled", Do: "submit it again"}
		case api.JobRunning:
			r.Cancelling = true
		}
		return nil
	})
}

// Abandon leaves the job as a worker that dies does: without a sign of life it is
// given to another.
func (d *Delivery) Abandon() { d.over() }
