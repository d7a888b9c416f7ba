//go:build otel

package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gounet/gounet/server/engine"
)

// flushTime is how long the end of the process waits for traces that are not sent.
const flushTime = 5 * time.Second

// tracer sends spans by OTLP over HTTP to where OpenTelemetry's variables say,
// OTEL_EXPORTER_OTLP_ENDPOINT above all; without it there are none.
func tracer(ctx context.Context) (func(engine.Span), func(), error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return nil, func() {}, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("traces: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "gounet"), attribute.String("service.version", version)), resource.WithFromEnv())
	if err != nil {
		return nil, nil, fmt.Errorf("traces: %w", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))
	flush := func() {
		ctx, cancel := context.WithTimeout(context.Background(), flushTime)
		defer cancel()
		_ = provider.Shutdown(ctx) // what cannot be sent by then is lost: it is no result
	}
	to := provider.Tracer("gounet")
	return func(s engine.Span) { tell(to, s) }, flush, nil
}

// tell sends a span that is over.
func tell(to trace.Tracer, s engine.Span) {
	var all []attribute.KeyValue
	for k, v := range s.Facts {
		all = append(all, attribute.String(k, v))
	}
	kind := trace.SpanKindServer
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": s.In})
	if s.Job != "" {
		kind = trace.SpanKindInternal
		all = append(all, attribute.String("job", s.Job))
		ctx = trace.ContextWithRemoteSpanContext(ctx, jobTrace(s.Job))
	}
	_, span := to.Start(ctx, s.Name, trace.WithTimestamp(s.Begun), trace.WithSpanKind(kind), trace.WithAttributes(all...))
	if s.Bad {
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(s.Begun.Add(s.Took)))
}

// jobTrace is the trace of a job, whose id is the trace's: whatever process works on
// it, and whenever it is begun again, its spans are found under that.
func jobTrace(id string) trace.SpanContext {
	var c trace.SpanContextConfig
	b, err := hex.DecodeString(id)
	if err != nil || copy(c.TraceID[:], b) != len(c.TraceID) {
		return trace.SpanContext{} // not ours: a trace of its own
	}
	copy(c.SpanID[:], b)
	c.TraceFlags, c.Remote = trace.FlagsSampled, true
	return trace.NewSpanContext(c)
}
