package machine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestContainerLimitsMemory(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o666))
	}
	write("outer/memory.max", "8000\n")
	write("outer/memory.current", "7500\n")
	write("outer/inner/memory.max", "max\n")

	assert.Equal(t, Memory{Total: 8000, Available: 500}, limited(Memory{Total: 9000, Available: 6000}, root, "/outer/inner"))
	assert.Equal(t, Memory{Total: 9000, Available: 6000}, limited(Memory{Total: 9000, Available: 6000}, root, "/other"))
}

func TestMemoryIsKnown(t *testing.T) {
	m := MainMemory()
	assert.Positive(t, m.Total)
	assert.Positive(t, m.Available)
	assert.LessOrEqual(t, m.Available, m.Total)
}

func TestDiskFreeNamesAFolderThatIsNotThere(t *testing.T) {
	_, err := DiskFree(filepath.Join(t.TempDir(), "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.Contains(t, err.Error(), "absent")
}

func TestFieldTakesTheFirstNameThatIsThere(t *testing.T) {
	text := "processor\t: 0\nmodel name\t: A CPU: fast\nmodel name\t: another\n"
	assert.Equal(t, "A CPU: fast", field(text, "Model", "model name"))
	assert.Empty(t, field(text, "Hardware"))
}
