package ranks

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// magic begins every connection: what is not a rank of this version is not answered.
const magic = "gounet/ranks/1\n"

// Kinds of messages.
const (
	hello   = "hello"   // a rank comes: World, Name, Facts, Address
	refused = "refused" // rank 0 does not want it: Why
	welcome = "welcome" // all have come: Names, Token, Address of the next rank
	ringing = "ring"    // the first message of a connection of the ring: Token
	ready   = "ready"   // a rank has its connections; rank 0 answers the same when all have
	beat    = "beat"    // a rank is alive: Entered
	lost    = "lost"    // Rank is lost: Why
	leaving = "leaving" // a rank is done
	left    = "left"    // all are done
)

// message is what ranks say to each other beside the numbers.
type message struct {
	Kind    string            `json:"kind"`
	Rank    int               `json:"rank"`
	World   int               `json:"world,omitempty"`
	Name    string            `json:"name,omitempty"`
	Names   []string          `json:"names,omitempty"`
	Facts   map[string]string `json:"facts,omitempty"`
	Address string            `json:"address,omitempty"`
	Token   string            `json:"token,omitempty"`
	Why     string            `json:"why,omitempty"`
	Entered uint64            `json:"entered,omitempty"`
}

// mostBytes of a message: the names of MostRanks.
const mostBytes = 1 << 20

// mostText is what is kept of a name or a reason.
const mostText = 2000

// send writes a message: its length in four bytes, then JSON.
func send(w io.Writer, m message) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(b) > mostBytes {
		return fmt.Errorf("a message of %d bytes, at most %d are sent", len(b), mostBytes)
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// receive reads a message. most bounds what is allocated for it.
func receive(r io.Reader, most uint32) (m message, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return m, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > most {
		return m, fmt.Errorf("a message of %d bytes, at most %d are read", n, most)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return m, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return message{}, fmt.Errorf("a message that is none: %w", err)
	}
	m.Name, m.Why = short(m.Name), short(m.Why)
	return m, nil
}

// errStranger is what a connection is that does not begin with magic.
var errStranger = errors.New("it is no rank of gounet, or one of another version")

// first reads the first message of a connection.
func first(r io.Reader) (message, error) {
	var b [len(magic)]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return message{}, err
	}
	if string(b[:]) != magic {
		return message{}, errStranger
	}
	return receive(r, mostHello)
}

// mostHello is what a stranger can make rank 0 allocate for one connection.
const mostHello = 64 << 10

func short(s string) string {
	if len(s) > mostText {
		return s[:mostText] + " …"
	}
	return s
}
