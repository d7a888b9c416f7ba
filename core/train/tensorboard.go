package train

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protowire"
)

// eventsFolder holds the TensorBoard events of a run.
const eventsFolder = "events"

// events adds the scalars of an epoch to the TensorBoard events file.
func (t *trainer) events(e Epoch) error {
	dir := filepath.Join(t.Dir, eventsFolder)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	name := filepath.Join(dir, "events.out.tfevents.0.gounet")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	var b []byte
	if st, err := f.Stat(); err == nil && st.Size() == 0 {
		b = appendRecord(b, protowire.AppendString(protowire.AppendTag(nil, 3, protowire.BytesType), "brain.Event:2")) // file_version
	}
	for _, s := range e.scalars(t.Plan.Foreground()) {
		if !math.IsNaN(s.value) {
			b = appendRecord(b, scalarEvent(e.Epoch, s.name, s.value))
		}
	}
	if _, err := f.Write(b); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

type scalar struct {
	name  string
	value float64
}

// scalarEvent is an Event message: step = 2, summary = 5 {value = 1 {tag = 1, simple_value = 2}}.
// Without a wall time, so that runs repeat byte for byte.
func scalarEvent(step int, tag string, v float64) []byte {
	value := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), tag)
	value = protowire.AppendFixed32(protowire.AppendTag(value, 2, protowire.Fixed32Type), math.Float32bits(float32(v)))
	summary := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), value)
	event := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), uint64(step))
	return protowire.AppendBytes(protowire.AppendTag(event, 5, protowire.BytesType), summary)
}

// appendRecord frames data as a TFRecord: length, its masked CRC32C, data, its
// masked CRC32C.
func appendRecord(b, data []byte) []byte {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(data)))
	b = append(b, n[:]...)
	b = binary.LittleEndian.AppendUint32(b, maskedCRC(n[:]))
	b = append(b, data...)
	return binary.LittleEndian.AppendUint32(b, maskedCRC(data))
}

func maskedCRC(b []byte) uint32 {
	c := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return (c>>15 | c<<17) + 0xa282ead8 // TFRecord's mask
}
