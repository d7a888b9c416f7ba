package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// documents are those of a file of YAML.
func documents(t *testing.T, path string) (all []any) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	for d := yaml.NewDecoder(bytes.NewReader(b)); ; {
		var one any
		err := d.Decode(&one)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all = append(all, one)
	}
}

// walk calls f for each key of each map.
func walk(node any, f func(key string, value any)) {
	switch n := node.(type) {
	case map[string]any:
		for k, v := range n {
			f(k, v)
			walk(v, f)
		}
	case []any:
		for _, v := range n {
			walk(v, f)
		}
	}
}

// The manifests start gounet with flags that it has, and set variables of such.
func TestManifestsNameFlagsThatThereAre(t *testing.T) {
	commands := map[string]int{}
	for _, path := range []string{"../../deploy/compose.yaml", "../../deploy/kubernetes/gounet.yaml"} {
		for _, d := range documents(t, path) {
			name := ""
			walk(d, func(key string, value any) {
				if list, ok := value.([]any); ok && (key == "args" || key == "command") {
					var args []string
					for _, v := range list {
						s, ok := v.(string)
						require.True(t, ok, "%s: %v is no string", path, v)
						args = append(args, s)
					}
					if args[0] != "serve" && args[0] != "worker" {
						return
					}
					name = args[0]
					commands[filepath.Base(path)+" "+name]++
					cmd, rest, err := newRoot(&app{}).Find(args)
					require.NoError(t, err)
					assert.NoError(t, cmd.ParseFlags(rest), path)
					assert.Empty(t, cmd.Flags().Args(), path)
				}
			})
			walk(d, func(key string, value any) {
				if variable, ok := value.(string); ok && key == "name" && strings.HasPrefix(variable, envPrefix) {
					cmd, _, err := newRoot(&app{}).Find([]string{name})
					require.NoError(t, err)
					flag := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(variable, envPrefix)), "_", "-")
					assert.NotNil(t, cmd.Flags().Lookup(flag), "%s: %s", path, variable)
				}
			})
		}
	}
	assert.Equal(t, map[string]int{"compose.yaml serve": 1, "compose.yaml worker": 1, "gounet.yaml serve": 1, "gounet.yaml worker": 1}, commands)
}

// What the queue of the compose file acknowledges is on the disk, and nobody else gets
// into it.
func TestTheQueueOfTheComposeFileLosesNothing(t *testing.T) {
	var compose struct {
		Configs map[string]struct{ Content string }
	}
	b, err := os.ReadFile("../../deploy/compose.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(b, &compose))
	text := strings.ReplaceAll(compose.Configs["nats"].Content, "${GOUNET_SECRET:?set a secret}", "secret")
	path := filepath.Join(t.TempDir(), "nats.conf")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	o, err := server.ProcessConfigFile(path)
	require.NoError(t, err)
	assert.True(t, o.JetStream)
	assert.True(t, o.SyncAlways)
	assert.Equal(t, "/data", o.StoreDir)
	assert.Equal(t, "secret", o.Authorization)
}
