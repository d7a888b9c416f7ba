package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/internal/api"
)

// jobsFlags are the flags of `gounet jobs`.
type jobsFlags struct {
	server, key string
	all, dead   bool
	state       string
}

func newJobs(a *app) *cobra.Command {
	var f jobsFlags
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "list, watch and cancel jobs of a server",
		Long: `jobs asks a running gounet serve for its jobs, follows one, or cancels it.
A server that wants to know who asks is given --key.`,
		Example: `  gounet jobs list
  gounet jobs watch 4f7c…
  gounet jobs cancel 4f7c… --server https://gounet.example --key KEY`,
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.server, "server", "http://localhost:8080", "`URL` of the server")
	flags.StringVar(&f.key, "key", "", "API key or token; better in GOUNET_KEY")
	list := &cobra.Command{
		Use: "list", Short: "jobs, the newest first", Args: noArgs,
		Long:    "list prints a line a job: its name, when it came, its model and how far it is.",
		Example: "  gounet jobs list --state running",
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.list(cmd.Context(), a) },
	}
	list.Flags().BoolVar(&f.all, "all", false, "of everybody, for admins")
	list.Flags().BoolVar(&f.dead, "dead", false, "only those that were given up after they had crashed their worker")
	list.Flags().StringVar(&f.state, "state", "", "only those in `state` queued, running, done, failed or cancelled")
	cmd.AddCommand(list,
		&cobra.Command{
			Use: "watch JOB", Short: "follow a job until it is over", Args: wantArgs("JOB"),
			Long:    "watch prints how far the job is until it is over. It fails if the job has failed.",
			Example: "  gounet jobs watch 4f7c…",
			RunE: func(cmd *cobra.Command, args []string) error {
				return f.watch(cmd.Context(), a, args[0])
			},
		},
		&cobra.Command{
			Use: "cancel JOB", Short: "cancel a job", Args: wantArgs("JOB"),
			Long:    "cancel ends a job: at once where it waits, after the tile at hand where it runs.",
			Example: "  gounet jobs cancel 4f7c…",
			RunE: func(cmd *cobra.Command, args []string) error {
				var j api.Job
				err := f.call(cmd.Context(), http.MethodPost, "/jobs/"+url.PathEscape(args[0])+"/cancel", nil, &j)
				if err == nil {
					fmt.Fprintln(a.out, describeJob(&j))
				}
				return err
			},
		})
	return cmd
}

// request asks the server; an answer that is none of 2xx is an error with its
// sentence.
func (f *jobsFlags) request(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(f.server, "/")+"/api/v1"+path, body)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		r.Header[k] = v
	}
	if f.key != "" {
		r.Header.Set("Authorization", "Bearer "+f.key)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode/100 == 2 {
		return answer, nil
	}
	var p api.Problem
	err = json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&p)
	if err != nil || p.Detail == "" {
		p.Detail = "no server of gounet, it seems"
	}
	return nil, errors.Join(&refusal{answer.StatusCode, fmt.Sprintf("%s: %s: %s", f.server, answer.Status, p.Detail)}, answer.Body.Close())
}

// refusal is an answer that is none of 2xx.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// isFinal says whether the same request will not be answered otherwise in a while.
func isFinal(err error) bool {
	r := (*refusal)(nil)
	return errors.As(err, &r) && r.status/100 == 4 && r.status != http.StatusTooManyRequests && r.status != http.StatusRequestTimeout
}

// call asks the server and reads the JSON of its answer.
func (f *jobsFlags) call(ctx context.Context, method, path string, body, to any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	answer, err := f.request(ctx, method, path, http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(b))
	if err != nil {
		return err
	}
	return errors.Join(json.NewDecoder(answer.Body).Decode(to), answer.Body.Close())
}

func (f *jobsFlags) list(ctx context.Context, a *app) error {
	q := url.Values{"limit": {"1000"}}
	for name, on := range map[string]bool{"all": f.all, "dead": f.dead} {
		if on {
			q.Set(name, "true")
		}
	}
	if f.state != "" {
		q.Set("state", f.state)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for {
		var page api.JobList
		if err := f.call(ctx, http.MethodGet, "/jobs?"+q.Encode(), nil, &page); err != nil {
			return err
		}
		for i := range page.Jobs {
			j := &page.Jobs[i]
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", j.ID, j.Created.Local().Format(time.DateTime), j.Submit.Model, describeJob(j))
		}
		if page.Next == "" {
			return w.Flush()
		}
		q.Set("after", page.Next)
	}
}

// describeJob is how far a job is, in a line.
func describeJob(j *api.Job) string {
	text := describeState(j)
	if api.JobOver(j.State) {
		for _, w := range j.Warnings {
			text += "; warning: " + w
		}
	}
	return text
}

func describeState(j *api.Job) string {
	switch {
	case j.Failed != nil:
		return j.State + ": " + j.Failed.Reason
	case j.State == api.JobQueued && j.Position > 0:
		return fmt.Sprintf("%s, %d before it", j.State, j.Position)
	case j.Cancelling:
		return j.State + ", is being cancelled"
	case j.Progress != nil:
		return j.State + ", " + describeProgress(j.Progress)
	}
	return j.State
}

func describeProgress(p *api.Progress) string {
	text := p.Stage
	if p.Of > 0 {
		text += fmt.Sprintf(" %d/%d", p.Done, p.Of)
	}
	if p.LeftMS > 0 {
		text += ", " + seconds(time.Duration(p.LeftMS*float64(time.Millisecond))) + " left"
	}
	return text
}

// watch follows a job, over connections that end, until it is over.
func (f *jobsFlags) watch(ctx context.Context, a *app, id string) error {
	last, failures := "", 0
	for {
		j, err := f.events(ctx, a, id, &last)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (failures == mostFailures || isFinal(err)):
			return err
		case err != nil:
			failures++
		case j != nil && api.JobOver(j.State):
			if j.State != api.JobDone {
				return fmt.Errorf("job %s is %s", id, describeJob(j))
			}
			for _, r := range j.Results {
				fmt.Fprintf(a.out, "%s%s\n", strings.TrimSuffix(f.server, "/"), r.URL)
			}
			return nil
		default:
			failures = 0
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// mostFailures in a row of a server that is away for a while.
const mostFailures = 5

// events reads a stream until it ends, and returns the last state of the job.
func (f *jobsFlags) events(ctx context.Context, a *app, id string, last *string) (*api.Job, error) {
	header := http.Header{}
	if *last != "" {
		header.Set("Last-Event-ID", *last)
	}
	answer, err := f.request(ctx, http.MethodGet, "/jobs/"+url.PathEscape(id)+"/events", header, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }() // only read from
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 16<<20)
	var job *api.Job
	name := ""
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			*last = value
		case "event":
			name = value
		case "data":
			if name == api.EventProgress {
				var p api.Progress
				if err := json.Unmarshal([]byte(value), &p); err != nil {
					return job, err
				}
				fmt.Fprintln(a.err, describeProgress(&p))
				continue
			}
			job = nil
			if err := json.Unmarshal([]byte(value), &job); err != nil {
				return nil, err
			}
			if job == nil {
				return nil, fmt.Errorf("job %s was deleted", id)
			}
			fmt.Fprintln(a.err, describeJob(job))
		}
	}
	return job, lines.Err()
}
