package queue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/gounet/gounet/internal/api"
)

// classes are the priorities in the order in which they are served.
var classes = []string{api.PriorityHigh, api.PriorityNormal, api.PriorityLow}

// lane is the jobs of one user in one class: a filter of subjects, with a consumer
// of its own.
type lane struct{ class, user string }

func (l lane) filter() string { return subjectJobs + "." + l.class + "." + l.user + ".*" }

// laneOf is that of a job. Names of users are hashed, since subjects have letters
// that they may have.
func laneOf(r *Record) lane {
	h := sha256.Sum256([]byte(r.Owner))
	class := r.Submit.Priority
	if class == "" {
		class = api.PriorityNormal
	}
	return lane{class, hex.EncodeToString(h[:8])}
}

func subjectOf(r *Record) string {
	l := laneOf(r)
	return subjectJobs + "." + l.class + "." + l.user + "." + r.ID
}

// picker knows which lanes may have jobs, and whose turn it is.
type picker struct {
	mu        sync.Mutex
	lanes     map[lane]bool // that may have messages
	served    map[string]time.Time
	consumers map[lane]jetstream.Consumer
	wake      chan struct{} // something may have changed
}

func (p *picker) add(l lane) {
	p.mu.Lock()
	if p.lanes == nil {
		p.lanes, p.served, p.consumers = map[lane]bool{}, map[string]time.Time{}, map[lane]jetstream.Consumer{}
	}
	p.lanes[l] = true
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// order lists the lanes: high before normal before low, and in each the user first
// who has waited longest since a job of his was begun.
func (p *picker) order() (out []lane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, class := range classes {
		from := len(out)
		for l := range p.lanes {
			if l.class != class {
				continue
			}
			at := len(out)
			for at > from && p.served[l.user].Before(p.served[out[at-1].user]) {
				at--
			}
			out = append(out, lane{})
			copy(out[at+1:], out[at:])
			out[at] = l
		}
	}
	return out
}

func (p *picker) drop(l lane)           { p.mu.Lock(); delete(p.lanes, l); p.mu.Unlock() }
func (p *picker) forget(l lane)         { p.mu.Lock(); delete(p.consumers, l); p.mu.Unlock() }
func (p *picker) serve(user string)     { p.mu.Lock(); p.served[user] = time.Now(); p.mu.Unlock() }
func (p *picker) waits(l lane) (y bool) { p.mu.Lock(); y = p.lanes[l]; p.mu.Unlock(); return y }

// Submit makes a job durable. If there is one of its id already, that is returned
// instead. A job that it returns an error for is not worked on.
func (q *Queue) Submit(ctx context.Context, r *Record) (*Record, error) {
	if before := q.health.refusal(r.ID); before != nil {
		if err := q.undo(ctx, before); err != nil {
			return nil, fmt.Errorf("queue: submit: %w", err)
		}
	}
	if have, err := q.Jobs.Get(ctx, r.ID); err == nil {
		return have, ErrExists
	} else if !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	_, err = q.js.PublishMsg(ctx, &nats.Msg{Subject: subjectOf(r), Data: b})
	if err != nil && !isOnce(err) {
		q.health.doubt()
		return nil, q.refuse(ctx, r, fmt.Errorf("queue: submit: %w", err))
	}
	if err := q.Jobs.Create(ctx, r.ID, r); errors.Is(err, ErrExists) {
		have, _, err := q.Jobs.read(ctx, r.ID)
		if err == nil && have.Created.Equal(r.Created) { // a worker was faster with our message
			return have, nil
		}
		return have, errors.Join(ErrExists, err)
	} else if err != nil {
		return nil, q.refuse(ctx, r, err)
	}
	return r, nil
}

// refuse undoes what there is of a job that is answered with an error: at once, or
// when the queue can write again.
func (q *Queue) refuse(ctx context.Context, r *Record, why error) error {
	q.health.refuse(r)
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if q.undo(ctx, r) != nil {
		q.health.doubt() // then it is tried again
	}
	return why
}

// isOnce says whether a message was refused because its subject has one.
func isOnce(err error) bool {
	const maxPerSubject = 10077 // JSStreamStoreFailed, with the text of ErrMaxMsgsPerSubject
	api := (*jetstream.APIError)(nil)
	return errors.As(err, &api) && (api.ErrorCode == maxPerSubject || strings.Contains(api.Description, "per subject"))
}

// lookEvery is how often Next looks for what dead workers had in hand.
const lookEvery = time.Second

// Next waits for a job and claims it. The job stays this worker's until Finish or
// Release, or until the worker dies.
func (q *Queue) Next(ctx context.Context) (*Delivery, error) {
	look := time.NewTicker(min(q.o.AckWait/2, lookEvery))
	defer look.Stop()
	for {
		for _, l := range q.pick.order() {
			d, err := q.fetch(ctx, l)
			if err != nil {
				return nil, err
			}
			if d != nil {
				return d, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-q.pick.wake:
		case <-look.C:
			if err := q.findSubjects(ctx); err != nil && ctx.Err() == nil {
				continue // NATS is away: it is tried again all the time
			}
		}
	}
}

// fetch takes the next job of a lane, nil if there is none.
func (q *Queue) fetch(ctx context.Context, l lane) (*Delivery, error) {
	for {
		consumer, err := q.consumer(ctx, l)
		if err != nil {
			return nil, ctx.Err() // NATS is away
		}
		q.pick.drop(l) // until a job is submitted, or found
		batch, err := consumer.FetchNoWait(1)
		if err != nil {
			q.pick.forget(l)
			return nil, ctx.Err()
		}
		var msg jetstream.Msg
		for m := range batch.Messages() {
			msg = m
		}
		if batch.Error() != nil {
			q.pick.forget(l) // it may have been deleted after long idleness
		}
		if msg == nil {
			return nil, ctx.Err()
		}
		q.pick.add(l) // there may be more
		d, err := q.claim(ctx, msg)
		if d != nil {
			q.pick.serve(l.user)
		}
		if d != nil || err != nil {
			return d, err
		}
	}
}

func (q *Queue) consumer(ctx context.Context, l lane) (jetstream.Consumer, error) {
	q.pick.mu.Lock()
	c := q.pick.consumers[l]
	q.pick.mu.Unlock()
	if c != nil {
		return c, nil
	}
	c, err := q.stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: l.class + "-" + l.user, FilterSubject: l.filter(), AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: q.o.AckWait, MaxDeliver: -1, MaxAckPending: 1 << 16, // attempts are counted in the record
		InactiveThreshold: 24 * time.Hour,
	})
	if err != nil {
		return nil, err
	}
	q.pick.mu.Lock()
	q.pick.consumers[l] = c
	q.pick.mu.Unlock()
	return c, nil
}

// findSubjects looks which lanes have messages.
func (q *Queue) findSubjects(ctx context.Context) error {
	info, err := q.stream.Info(ctx, jetstream.WithSubjectFilter(subjectJobs+".>"))
	if err != nil {
		return err
	}
	for subject := range info.State.Subjects {
		parts := strings.Split(subject, ".")
		if len(parts) == 5 {
			if l := (lane{parts[2], parts[3]}); !q.pick.waits(l) {
				q.pick.add(l)
			}
		}
	}
	return nil
}

// Waiting says how many jobs are likely to begin before a queued one: those of a
// higher class, and in its own the users' jobs in turn.
func (q *Queue) Waiting(id string) int {
	mine, ok := q.Jobs.Open(id)
	if !ok || mine.State != api.JobQueued {
		return 0
	}
	rank := func(class string) int {
		for i, c := range classes {
			if c == class {
				return i
			}
		}
		return 1
	}
	before := map[string]int{} // jobs of each user in this class that are older than mine
	own, ahead := 0, 0
	q.Jobs.EachOpen(func(_ string, r *Record) bool {
		if r.State != api.JobQueued || r.ID == id {
			return true
		}
		switch a, b := rank(r.Submit.Priority), rank(mine.Submit.Priority); {
		case a < b:
			ahead++
		case a > b:
		case r.Owner != mine.Owner:
			before[r.Owner]++
		case r.Created.Before(mine.Created):
			own++
		}
		return true
	})
	for _, n := range before { // while own+1 of mine are begun
		ahead += min(n, own+1)
	}
	return ahead + own
}

func hostPort(address string) (string, int, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.Atoi(port)
	return host, n, err
}
