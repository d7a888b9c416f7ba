package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// s3Store is a Store in a bucket of S3 or what speaks like it, such as MinIO.
type s3Store struct {
	client         *minio.Client
	bucket, prefix string
}

// OpenS3 opens s3://KEY:SECRET@HOST/BUCKET/PREFIX, s3+http://… without TLS. Without
// KEY it is taken from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. The bucket must
// be there.
func OpenS3(address string) (Store, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("blob: the address of S3 is none: wanted s3://KEY:SECRET@HOST/BUCKET") // with its secret, err would be shown
	}
	bucket, prefix, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if u.Host == "" || bucket == "" {
		return nil, errors.New("blob: S3 without host or bucket: wanted s3://KEY:SECRET@HOST/BUCKET")
	}
	keys := credentials.NewEnvAWS()
	if u.User != nil {
		secret, _ := u.User.Password()
		keys = credentials.NewStaticV4(u.User.Username(), secret, "")
	}
	c, err := minio.New(u.Host, &minio.Options{Creds: keys, Secure: u.Scheme == "s3", Region: os.Getenv("AWS_REGION")})
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	if prefix != "" {
		prefix += "/"
	}
	s := &s3Store{client: c, bucket: bucket, prefix: prefix}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return s, s.Check(ctx)
}

// partBytes of an upload are in memory at a time.
const partBytes = 16 << 20

func (s *s3Store) Put(ctx context.Context, name string, r io.Reader) (int64, error) {
	if err := checkName(name); err != nil {
		return 0, err
	}
	info, err := s.client.PutObject(ctx, s.bucket, s.prefix+name, r, -1, minio.PutObjectOptions{PartSize: partBytes})
	return info.Size, s.wrap(name, err)
}

func (s *s3Store) PutFile(ctx context.Context, name, path string) error {
	if err := checkName(name); err != nil {
		return err
	}
	_, err := s.client.FPutObject(ctx, s.bucket, s.prefix+name, path, minio.PutObjectOptions{PartSize: partBytes})
	return s.wrap(name, err)
}

// object is an open object.
type object struct {
	*minio.Object
	info Info
}

func (o object) Info() Info { return o.info }

func (s *s3Store) Open(ctx context.Context, name string) (Object, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	o, err := s.client.GetObject(ctx, s.bucket, s.prefix+name, minio.GetObjectOptions{})
	if err != nil {
		return nil, s.wrap(name, err)
	}
	stat, err := o.Stat()
	if err != nil {
		return nil, errors.Join(s.wrap(name, err), o.Close())
	}
	return object{o, Info{name, stat.Size, stat.LastModified}}, nil
}

func (s *s3Store) Delete(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return s.wrap(name, s.client.RemoveObject(ctx, s.bucket, s.prefix+name, minio.RemoveObjectOptions{}))
}

func (s *s3Store) List(ctx context.Context, prefix string, each func(Info) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for o := range s.client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}) {
		if o.Err != nil {
			return s.wrap(prefix, o.Err)
		}
		if err := each(Info{strings.TrimPrefix(o.Key, s.prefix), o.Size, o.LastModified}); err != nil {
			return err
		}
	}
	return nil
}

func (s *s3Store) Check(ctx context.Context) error {
	ok, err := s.client.BucketExists(ctx, s.bucket)
	if err == nil && !ok {
		err = fmt.Errorf("there is no bucket %s: make it", s.bucket)
	}
	return s.wrap(s.bucket, err)
}

// wrap names the blob and finds out what is wrong.
func (s *s3Store) wrap(name string, err error) error {
	if err == nil {
		return nil
	}
	switch r := minio.ToErrorResponse(err); {
	case r.Code == "NoSuchKey", r.StatusCode == http.StatusNotFound && r.Code != "NoSuchBucket":
		return fmt.Errorf("blob: %s: %w", name, ErrNotFound)
	case r.StatusCode == http.StatusInsufficientStorage, r.Code == "XMinioStorageFull":
		return fmt.Errorf("blob: %s: %w", name, ErrFull)
	}
	return fmt.Errorf("blob: %s: %w", name, err)
}
