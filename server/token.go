package server

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// errNoRole says that a token is right and gives no role.
var errNoRole = errors.New("no role")

// tokens checks JWTs of one issuer.
type tokens struct {
	o       Auth
	address string // of the keys
	parser  *jwt.Parser

	mu    sync.Mutex
	keys  map[string]crypto.PublicKey
	got   time.Time
	asked time.Time

	asking sync.Mutex // held while the issuer is asked
}

const (
	// keysAge is how long a key that the issuer has withdrawn may still be good.
	keysAge = time.Hour
	// askEvery bounds how often the issuer is asked, whatever tokens say.
	askEvery = time.Minute
)

// client is for what servers of this house answer: it is bounded in time.
var client = &http.Client{Timeout: 15 * time.Second}

func newTokens(ctx context.Context, o Auth) (*tokens, error) {
	t := &tokens{o: o, address: o.JWKS}
	if o.Claim == "" {
		t.o.Claim = "roles"
	}
	if t.address == "" {
		var found struct {
			Issuer string `json:"issuer"`
			JWKS   string `json:"jwks_uri"`
		}
		if err := getJSON(ctx, strings.TrimSuffix(o.Issuer, "/")+"/.well-known/openid-configuration", &found); err != nil {
			return nil, fmt.Errorf("issuer: %w", err)
		}
		if found.Issuer != o.Issuer || found.JWKS == "" {
			return nil, fmt.Errorf("issuer %s: its discovery calls it %q: give that", o.Issuer, found.Issuer)
		}
		t.address = found.JWKS
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}),
		jwt.WithExpirationRequired(), jwt.WithLeeway(30 * time.Second),
	}
	if o.Issuer != "" {
		options = append(options, jwt.WithIssuer(o.Issuer))
	}
	if o.Audience != "" {
		options = append(options, jwt.WithAudience(o.Audience))
	}
	t.parser = jwt.NewParser(options...)
	return t, t.fetch(ctx)
}

// identify checks a token and returns whose it is.
func (t *tokens) identify(ctx context.Context, token string) (identity, error) {
	claims := jwt.MapClaims{}
	_, err := t.parser.ParseWithClaims(token, claims, func(token *jwt.Token) (any, error) {
		kid, _ := token.Header["kid"].(string)
		return t.key(ctx, kid)
	})
	if err != nil {
		return identity{}, err
	}
	subject, err := claims.GetSubject()
	if err != nil || subject == "" {
		return identity{}, errors.New("no subject")
	}
	role := ""
	for _, r := range roles(claims[t.o.Claim]) {
		if rank(r) > rank(role) {
			role = r
		}
	}
	if rank(role) < 0 {
		return identity{}, errNoRole
	}
	return identity{"jwt:" + subject, role}, nil
}

// roles are the strings of a claim.
func roles(claim any) (out []string) {
	switch c := claim.(type) {
	case string:
		return strings.Fields(c)
	case []any:
		for _, x := range c {
			if s, ok := x.(string); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

// key finds a key. The issuer is asked for an unknown one, and now and then for those
// that it still has; while it is away, known ones stay.
func (t *tokens) key(ctx context.Context, kid string) (crypto.PublicKey, error) {
	k, ask := t.known(kid)
	if ask {
		t.asking.Lock()
		if k, ask = t.known(kid); ask { // nobody else has asked meanwhile
			if err := t.fetch(context.WithoutCancel(ctx)); err != nil && k == nil {
				t.asking.Unlock()
				return nil, err
			}
			k, _ = t.known(kid)
		}
		t.asking.Unlock()
	}
	if k == nil {
		return nil, fmt.Errorf("no key %.50q", kid)
	}
	return k, nil
}

// known is the key of an id, nil if there is none, and whether to ask the issuer.
func (t *tokens) known(kid string) (k crypto.PublicKey, ask bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k = t.keys[kid]
	return k, (k == nil || time.Since(t.got) > keysAge) && time.Since(t.asked) > askEvery
}

// fetch gets the keys of the issuer.
func (t *tokens) fetch(ctx context.Context) error {
	t.mu.Lock()
	t.asked = time.Now()
	t.mu.Unlock()
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := getJSON(ctx, t.address, &set); err != nil {
		return fmt.Errorf("keys of the issuer: %w", err)
	}
	keys := map[string]crypto.PublicKey{}
	for _, k := range set.Keys {
		if public := k.public(); public != nil && k.Use != "enc" {
			keys[k.ID] = public
		}
	}
	t.mu.Lock()
	t.keys, t.got = keys, time.Now()
	t.mu.Unlock()
	return nil
}

// jwk is a public key by RFC 7517.
type jwk struct {
	ID    string `json:"kid"`
	Type  string `json:"kty"`
	Use   string `json:"use"`
	N     string `json:"n"`
	E     string `json:"e"`
	Curve string `json:"crv"`
	X     string `json:"x"`
	Y     string `json:"y"`
}

// public is the key, nil if it is of a kind that is not taken.
func (k jwk) public() crypto.PublicKey {
	number := func(s string) *big.Int {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			return new(big.Int)
		}
		return new(big.Int).SetBytes(b)
	}
	switch k.Type {
	case "RSA":
		n, e := number(k.N), number(k.E)
		if n.BitLen() < 2048 || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 {
			return nil
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}
	case "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Curve]
		if curve == nil {
			return nil
		}
		size := (curve.Params().BitSize + 7) / 8
		x, y := number(k.X), number(k.Y)
		if max(x.BitLen(), y.BitLen()) > 8*size {
			return nil
		}
		point := append([]byte{4}, x.FillBytes(make([]byte, size))...) // SEC 1: uncompressed
		p, err := ecdsa.ParseUncompressedPublicKey(curve, append(point, y.FillBytes(make([]byte, size))...))
		if err != nil { // not on the curve
			return nil
		}
		return p
	}
	return nil
}

// getJSON reads a small document.
func getJSON(ctx context.Context, address string, to any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // only read from
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, answer.Status)
	}
	return json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(to)
}
