package page

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A server that wants a key is one, and says so.
func TestAServerThatWantsAKeyIsAskedForOne(t *testing.T) {
	f := newFake()
	p := New(f)
	f.next(t, askInfo)(401, `{"detail":"this server wants to know who asks"}`)
	assert.True(t, p.Server.Locked)
	assert.False(t, p.Server.There)
	assert.Contains(t, p.Server.KeyText(), "wants a key")
	p.Type(KeyField, " wrong ")
	p.LeaveField(KeyField)
	assert.Equal(t, []string{"wrong"}, f.shownTo)
	f.next(t, askInfo)(401, "")
	assert.True(t, p.Server.Locked)
	assert.Contains(t, p.Server.KeyText(), "does not take this key")
	p.Type(KeyField, "clé")
	require.True(t, p.Key(KeyStroke{Key: "Enter", Field: true, View: -1}))
	assert.Len(t, f.shownTo, 1, "no request can carry it")
	p.leaveJob()
	assert.True(t, p.Server.Locked, "another scan does not change it")
	p.UseKey("right")
	f.next(t, askInfo)(200, jobs("0"))
	assert.True(t, p.Server.There)
	assert.False(t, p.Server.Locked)
	f.next(t, "GET api/v1/models")
}

// A key that is withdrawn takes the server out of the choice.
func TestAKeyThatIsWithdrawnIsAskedForAgain(t *testing.T) {
	p, f := opened(t)
	p.Server.There = true
	p.Models.List[0].ID = "hippo"
	p.Check.OnServer = true
	p.Go(PanelCheck)
	f.next(t, askInfo)(401, "")
	assert.True(t, p.Server.Locked)
	assert.False(t, p.Check.OnServer)
}
