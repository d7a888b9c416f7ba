package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answer is what the program says and the code it ends with.
type answer struct {
	code     int
	out, err string
}

func gounet(t *testing.T, args ...string) answer {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run(t.Context(), args, &out, &errOut)
	return answer{code, out.String(), errOut.String()}
}

// gounetUntil is gounet, interrupted when a file of the pattern is there.
func gounetUntil(t *testing.T, pattern string, args ...string) answer {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		defer interrupt()
		for ctx.Err() == nil {
			if found, err := filepath.Glob(pattern); err != nil || len(found) > 0 {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	var out, errOut bytes.Buffer
	code := run(ctx, args, &out, &errOut)
	interrupt()
	return answer{code, out.String(), errOut.String()}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	root := newRoot(&app{})
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Name() != "version" && c.Name() != "help" && c.Name() != "completion" {
			assert.NotEmpty(t, c.Short, c.CommandPath())
			assert.NotEmpty(t, c.Long, c.CommandPath())
			assert.Contains(t, c.Example, "gounet", c.CommandPath())
		}
		for _, below := range c.Commands() {
			visit(below)
		}
	}
	visit(root)
}

func TestErrorsArePrintedOnceAndCoded(t *testing.T) {
	cases := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"unknown command", []string{"inf"}, exitUsage, `unknown command "inf"`},
		{"unknown flag", []string{"info", "--depth"}, exitUsage, "unknown flag: --depth"},
		{"missing argument", []string{"info"}, exitUsage, "FILE is missing"},
		{"too many arguments", []string{"info", "a", "b"}, exitUsage, `argument "b"`},
		{"missing file", []string{"info", "absent.nii.gz"}, exitError, "absent.nii.gz"},
		{"missing config", []string{"doctor", "--config", "absent.yaml"}, exitUsage, "absent.yaml"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := gounet(t, c.args...)
			assert.Equal(t, c.code, got.code)
			assert.Equal(t, 1, strings.Count(got.err, c.want), got.err)
			assert.True(t, strings.HasPrefix(got.err, "gounet: "), got.err)
			assert.Empty(t, got.out)
		})
	}
}

func TestAnErrorNamesItsCommandOnce(t *testing.T) {
	for _, text := range []string{"a file", "wait: a file"} {
		a := &app{}
		root := newRoot(a)
		root.AddCommand(&cobra.Command{Use: "wait", RunE: func(*cobra.Command, []string) error { return errors.New(text) }})
		var out, errOut bytes.Buffer
		assert.Equal(t, exitError, execute(t.Context(), a, root, []string{"wait"}, &out, &errOut))
		assert.Equal(t, "gounet: wait: a file\n", errOut.String())
	}
}

func TestInterruptHasItsOwnCode(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := &app{}
	root := newRoot(a)
	root.AddCommand(&cobra.Command{Use: "wait", RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Context().Err() }})
	var out, errOut bytes.Buffer
	code := execute(ctx, a, root, []string{"wait"}, &out, &errOut)
	assert.Equal(t, exitInterrupted, code)
	assert.Equal(t, "gounet: wait: interrupted\n", errOut.String())
}

func TestDoctorSaysWhatIsUsedAndWhy(t *testing.T) {
	got := gounet(t, "doctor", "--json")
	require.Equal(t, exitOK, got.code, got.err)
	var d diagnosis
	require.NoError(t, json.Unmarshal([]byte(got.out), &d))
	assert.Positive(t, d.CPU.Cores)
	require.NotEmpty(t, d.Devices)
	assert.True(t, d.Devices[0].Used)
	assert.NotEmpty(t, d.Devices[0].Why)
	assert.NotNil(t, d.Advice)
}

func TestVersionNamesTheMachine(t *testing.T) {
	got := gounet(t, "version")
	assert.Equal(t, exitOK, got.code)
	assert.True(t, strings.HasPrefix(got.out, "gounet "), got.out)
}
