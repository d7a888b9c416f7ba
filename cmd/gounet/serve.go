package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/internal/machine"
	"github.com/gounet/gounet/server"
	"github.com/gounet/gounet/server/blob"
	"github.com/gounet/gounet/server/engine"
	"github.com/gounet/gounet/web"
)

// workFlags are what `gounet serve` and `gounet worker` have in common.
type workFlags struct {
	deviceFlags
	data, models string
	nats, token  string
	blobs        string
	archives     []string
	uploadGB     float64
	memoryGB     float64
	hostGB       float64
	reserveGB    float64
	volumeGB     float64
	batchJobs    int
	patience     time.Duration
	log          string
	verbose      bool
}

func (f *workFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", "gounet_data", "`folder` of all that is kept: queue, uploads, results")
	flags.StringVar(&f.models, "models", "models", "`folder` of models: .gounet files, model or run folders, nnU-Net v2 results")
	flags.StringVar(&f.nats, "nats", "", "`URL` of a NATS cluster with JetStream for the queue")
	flags.StringVar(&f.token, "nats-token", "", "`token` that NATS wants")
	flags.StringVar(&f.blobs, "blobs", "", "where uploads and results are kept: a folder that all share, or s3://KEY:SECRET@HOST/BUCKET (`URL`)")
	flags.StringSliceVar(&f.archives, "archive", nil, "DICOMweb archives that jobs may name, `NAME=URL` comma separated; the token of NAME is in GOUNET_ARCHIVE_NAME_TOKEN")
	flags.Float64Var(&f.uploadGB, "upload-gb", 16, "largest file, or series of an archive, in `GB`")
	flags.Float64Var(&f.memoryGB, "memory-gb", 0, "bound of the memory on each device in `GB`; 0 is what the device has")
	flags.Float64Var(&f.hostGB, "host-gb", 0, "bound of the memory for scans beside the devices in `GB`; 0 is three quarters of the machine's")
	flags.Float64Var(&f.reserveGB, "reserve-gb", 1, "room on the disk that stays free, in `GB`")
	flags.Float64Var(&f.volumeGB, "volume-gb", 16, "largest scan as float32 numbers, in `GB`")
	flags.IntVar(&f.batchJobs, "batch-jobs", 0, "most `jobs` whose scans are one tile that share a run of a device, if they are ready at the same time; 1 is none, 0 as many as fill the device: on a CPU 1")
	flags.DurationVar(&f.patience, "drain", 30*time.Second, "how long jobs may go on after SIGTERM; then they wait for the next start")
	flags.StringVar(&f.log, "log", "text", "form of the log on stderr: text or json")
	flags.BoolVar(&f.verbose, "verbose", false, "also a line for each request")
	f.deviceFlags.add(cmd)
	f.device = auto
	flags.Lookup("device").DefValue = auto
	flags.Lookup("device").Usage += ". Several with commas between share the queue"
}

// serveFlags are the flags of `gounet serve`.
type serveFlags struct {
	workFlags
	listen, natsListen string
	cert, key          string
	keys               string
	issuer, jwks       string
	audience, claim    string
	hosts              []string
	noAuth, demo       bool
	rate               float64
	jobs, streams      int
	keep               time.Duration
	kept               int
}

func newServe(a *app) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "label scans for others: a page, durable jobs, and what viewers speak",
		Long: `serve answers on localhost:8080 with the models in the folder models/, on the best
device, and keeps all that it has in the folder gounet_data/. It can be killed at any
moment: what it has acknowledged is there at the next start. SIGTERM lets jobs end.

Other machines are let in with --listen and keys or tokens. A file of --keys has a
line NAME ROLE SHA256 a key; roles are viewer, user and admin. The interface is
described at /api; MONAI Label, KServe v2, DICOMweb and VolView clients find their own
at /monai, /v2, /dicomweb and /volview.`,
		Example: `  gounet serve
  gounet serve --models models --device cuda:0,cuda:1
  gounet serve --listen :8443 --tls-cert cert.pem --tls-key key.pem --keys keys.txt
  gounet serve --nats nats://queue:4222 --blobs s3://KEY:SECRET@minio:9000/gounet --device none`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), a)
		},
	}
	f.add(cmd)
	d := server.DefaultBounds()
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "localhost:8080", "`HOST:PORT` to answer at; :8080 is all networks of this machine")
	flags.StringVar(&f.natsListen, "nats-listen", "", "`HOST:PORT` at which the embedded queue takes workers of other machines; needs --nats-token")
	flags.StringVar(&f.cert, "tls-cert", "", "`file` of the certificate chain, PEM")
	flags.StringVar(&f.key, "tls-key", "", "`file` of its key, PEM")
	flags.StringVar(&f.keys, "keys", "", "`file` of API keys")
	flags.StringVar(&f.issuer, "oidc-issuer", "", "`URL` of the OpenID Connect issuer whose tokens are taken")
	flags.StringVar(&f.jwks, "oidc-jwks", "", "`URL` of its keys, where it has no discovery")
	flags.StringVar(&f.audience, "oidc-audience", "", "`name` that tokens must be for")
	flags.StringVar(&f.claim, "oidc-claim", "roles", "`claim` of tokens with the role")
	flags.StringSliceVar(&f.hosts, "host", nil, "other `names` of this server, comma separated")
	flags.BoolVar(&f.noAuth, "no-auth", false, "let everybody who reaches --listen do everything")
	flags.BoolVar(&f.demo, "demo", false, "with the model that make demo has trained, and a scan of the hippocampus: run make demo and this in the folder of the project")
	flags.Float64Var(&f.rate, "rate", d.Rate, "requests of a user in a second; 0 is any")
	flags.IntVar(&f.jobs, "user-jobs", d.Jobs, "jobs of a user that are not over; 0 is any")
	flags.IntVar(&f.streams, "user-streams", d.Streams, "streams of events of a user; 0 is any")
	flags.DurationVar(&f.keep, "keep", d.Keep, "how long uploads and results are kept")
	flags.IntVar(&f.kept, "keep-jobs", d.Kept, "jobs that are over, and as many uploads, that are kept: of more, the oldest of who has most are deleted before their time; 0 is any")
	return cmd
}

func (f *serveFlags) run(ctx context.Context, a *app) error {
	o, err := f.options(a)
	if err != nil {
		return err
	}
	l, err := f.listener()
	if err != nil {
		return err
	}
	trace, flush, err := tracer(ctx)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer flush()
	o.Trace = trace
	s, err := server.New(ctx, o)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	scheme := "http"
	if f.cert != "" {
		scheme = "https"
	}
	fmt.Fprintf(a.out, "serving   %s://%s\n", scheme, l.Addr())
	if missing := pageMissing(); missing != "" {
		o.Log.Warn("there is no page to segment in, only one of status", "why", missing)
	}
	if f.demo {
		go func() { // when the server answers
			if err := submitDemo(ctx, "http://"+l.Addr().String()); err != nil {
				o.Log.Warn("the demo's scan was not submitted", "error", err)
			}
		}()
	}
	return errors.Join(s.Serve(ctx, l, f.patience), s.Close())
}

// listener opens the address, if everybody there may be let in.
func (f *serveFlags) listener() (net.Listener, error) {
	host, _, err := net.SplitHostPort(f.listen)
	if err != nil {
		return nil, usagef("--listen %s: %w", f.listen, err)
	}
	ip := net.ParseIP(host)
	if local := host == "localhost" || ip != nil && ip.IsLoopback(); !local && f.keys == "" && f.issuer == "" && f.jwks == "" && !f.noAuth {
		return nil, usagef("--listen %s lets other machines in, and everybody could do everything: give --keys or --oidc-issuer, or --no-auth if that is wanted", f.listen)
	}
	if (f.cert == "") != (f.key == "") {
		return nil, usagef("--tls-cert and --tls-key go together")
	}
	l, err := net.Listen("tcp", f.listen)
	if err != nil || f.cert == "" {
		return l, err
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}), nil
}

func (f *serveFlags) options(a *app) (server.Options, error) {
	o, err := f.workFlags.options(a)
	if err != nil {
		return o, err
	}
	if f.natsListen != "" && f.token == "" {
		return o, usagef("--nats-listen lets other machines into the queue: give --nats-token, which they show")
	}
	for name, value := range map[string]float64{"rate": f.rate, "user-jobs": float64(f.jobs), "user-streams": float64(f.streams), "keep-jobs": float64(f.kept)} {
		if !(value >= 0) {
			return o, usagef("--%s is %v, wanted 0 (any) or more", name, value)
		}
	}
	o.NATSListen = f.natsListen
	o.Auth = server.Auth{KeysFile: f.keys, Issuer: f.issuer, JWKS: f.jwks, Audience: f.audience, Claim: f.claim, Hosts: f.hosts, AnyHost: f.noAuth}
	o.Bounds.Rate, o.Bounds.Jobs, o.Bounds.Streams = f.rate, f.jobs, f.streams
	o.Bounds.Keep, o.Bounds.Kept = f.keep, f.kept
	if f.demo {
		o.Models, err = demoModels(f.data)
	}
	return o, err
}

// requestProcs are processors of Go's that no kernel takes.
const requestProcs = 4

// options are those that a worker has, too.
func (f *workFlags) options(a *app) (o server.Options, err error) {
	if err := errors.Join(a.settings.notNegative("memory-gb", "host-gb"), a.settings.positive("volume-gb", "keep")); err != nil {
		return o, err
	}
	if err := oneOf("log", f.log, "text", "json"); err != nil {
		return o, err
	}
	if f.batchJobs < 0 {
		return o, usagef("--batch-jobs is %d, wanted 0 (chosen) or more", f.batchJobs)
	}
	if err := f.check(a.settings); err != nil {
		return o, err
	}
	b := server.DefaultBounds()
	b.Reserve, b.VolumeBytes, b.HostBytes, b.UploadBytes = gigabytes(f.reserveGB), gigabytes(f.volumeGB), gigabytes(f.hostGB), gigabytes(f.uploadGB)
	if b.HostBytes == 0 {
		b.HostBytes = machine.MainMemory().Total / 4 * 3
	}
	o = server.Options{
		Version: version, Data: f.data, Models: f.models, Log: f.logger(a), NATS: f.nats, NATSToken: f.token, Bounds: b,
		Formats: serverFormats, FormatNames: formatList(labelFormats(dicom.WriteOptions{})),
	}
	switch files, err := web.Files(); {
	case err == nil:
		o.Page = web.Handler(files)
	case !errors.Is(err, web.ErrNotBuilt): // then there is a page of status
		return o, err
	}
	if o.Archives, err = f.known(); err != nil {
		return o, err
	}
	if err := os.MkdirAll(f.data, 0o700); err != nil {
		return o, err
	}
	if o.Blobs, err = f.store(b.Reserve); err != nil {
		return o, err
	}
	// Kernels hold a processor of Go's for long: requests get others of their own, and
	// the system shares the machine's between the two.
	cores := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(cores + requestProcs)
	for name := range strings.SplitSeq(f.device, ",") {
		if name == "none" {
			continue
		}
		one := f.deviceFlags
		one.device, one.threads = name, cmp.Or(f.threads, cores)
		o.Devices = append(o.Devices, engine.Device{
			Name: name, MemoryBytes: gigabytes(f.memoryGB), BatchJobs: f.batchJobs,
			Open: func() (backend.Device, error) {
				again := one // auto decides anew
				dev, err := again.open(a.settings)
				if err == nil && strings.HasPrefix(again.device, onCPU) {
					yieldToRequests()
				}
				return dev, err
			},
			Storage: func(dev backend.Device) (graph.DType, error) { return one.storage(dev) },
		})
	}
	return o, nil
}

// check looks at what was typed.
func (f *workFlags) check(s *settings) error {
	const most = 1 << 20 // GB: more than any disk has, and bytes that can be counted
	for name, gb := range map[string]float64{"upload-gb": f.uploadGB, "memory-gb": f.memoryGB, "host-gb": f.hostGB, "reserve-gb": f.reserveGB, "volume-gb": f.volumeGB} {
		if !(gb >= 0 && gb <= most) {
			return usagef("--%s is %v, wanted 0 to %d", name, gb, most)
		}
	}
	if f.patience < 0 {
		return usagef("--drain is %v, wanted 0 (jobs wait at once) or more", f.patience)
	}
	for name := range strings.SplitSeq(f.device, ",") {
		if name == "none" {
			continue
		}
		if err := checkDevice(name); err != nil {
			return err
		}
	}
	return f.deviceFlags.check(s)
}

// known are the archives of --archive.
func (f *workFlags) known() (map[string]server.Archive, error) {
	all := map[string]server.Archive{}
	for _, pair := range f.archives {
		name, url, ok := strings.Cut(pair, "=")
		if !ok || name == "" || url == "" {
			return nil, usagef("--archive %q: wanted NAME=URL", pair)
		}
		all[name] = server.Archive{URL: url, Token: os.Getenv(envPrefix + "ARCHIVE_" + strings.ToUpper(name) + "_TOKEN")}
	}
	return all, nil
}

// store opens what --blobs names; nil is the folder of the server's own.
func (f *workFlags) store(reserve int64) (blob.Store, error) {
	switch {
	case f.blobs == "":
		return nil, nil
	case strings.HasPrefix(f.blobs, "s3://"), strings.HasPrefix(f.blobs, "s3+http://"):
		return blob.OpenS3(f.blobs)
	}
	return blob.OpenFolder(filepath.Clean(strings.TrimPrefix(f.blobs, "file://")), reserve)
}

func (f *workFlags) logger(a *app) *slog.Logger {
	o := &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if level, ok := a.Value.Any().(slog.Level); ok && level == server.LevelAudit {
			a.Value = slog.StringValue("AUDIT")
		}
		return a
	}}
	if f.verbose {
		o.Level = slog.LevelDebug
	}
	if f.log == "json" {
		return slog.New(slog.NewJSONHandler(a.err, o))
	}
	return slog.New(slog.NewTextHandler(a.err, o))
}

func gigabytes(n float64) int64 { return int64(n * (1 << 30)) }

// serverFormats are those of the results of a job.
func serverFormats(s *api.Submit, p *plan.Plan, seed []byte) []scan.Format {
	return labelFormats(dicom.WriteOptions{
		Seed: seed, Algorithm: dicom.Algorithm{Name: p.Dataset, Version: version}, Software: version,
		Description: "Segmentation by " + p.Dataset, Anonymise: s.Anonymise,
	})
}

func formatList(formats []scan.Format) (names []string) {
	for _, f := range formats {
		names = append(names, f.Name)
	}
	return slices.Clip(names)
}
