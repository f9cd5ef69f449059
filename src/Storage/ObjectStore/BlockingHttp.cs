using System.Net;
using System.Net.Sockets;
using Amazon.Runtime;

namespace NetdumpCollector.Storage.ObjectStore;

/// <summary>HTTP for the S3 client on the thread that asks: what is sent is copied, encrypted (TLS) and paced there, and that thread has idle priority where dumps are received.</summary>
internal sealed class BlockingHttp : HttpClientFactory, IDisposable
{
    /// <summary>A store that takes or gives nothing for so long hangs.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan s_connectPatience = TimeSpan.FromSeconds(10);

    private readonly HttpClient _client;

    /// <param name="limit">How fast may be sent; null for no limit.</param>
    public BlockingHttp(RateLimit? limit)
    {
        var sockets = new SocketsHttpHandler
        {
            ConnectTimeout = s_connectPatience,
            PooledConnectionIdleTimeout = TimeSpan.FromSeconds(30),
            ConnectCallback = ConnectAsync,
            AllowAutoRedirect = false,
            AutomaticDecompression = DecompressionMethods.None,
        };
        _client = new(new OnThisThread(limit) { InnerHandler = sockets }) { Timeout = Timeout.InfiniteTimeSpan };
    }

    public override HttpClient CreateHttpClient(IClientConfig clientConfig) => _client;

    public override bool UseSDKHttpClientCaching(IClientConfig clientConfig) => false;

    public override bool DisposeHttpClientsAfterUse(IClientConfig clientConfig) => false;

    public void Dispose() => _client.Dispose();

    private static async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellation)
    {
        // The timeouts are those of blocking calls, which are all that is made.
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp)
        {
            NoDelay = true,
            SendTimeout = (int)s_patience.TotalMilliseconds,
            ReceiveTimeout = (int)s_patience.TotalMilliseconds,
        };
        try
        {
            await socket.ConnectAsync(context.DnsEndPoint, cancellation).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private sealed class OnThisThread(RateLimit? limit) : DelegatingHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            try
            {
                if (limit is not null && request.Content is { } content)
                    request.Content = new PacedContent(content, limit);
                return Task.FromResult(base.Send(request, cancellationToken));
            }
            catch (Exception e)
            {
                return Task.FromException<HttpResponseMessage>(e);
            }
        }
    }

    private sealed class PacedContent : HttpContent
    {
        private readonly HttpContent _content;
        private readonly RateLimit _limit;

        public PacedContent(HttpContent content, RateLimit limit)
        {
            _content = content;
            _limit = limit;
            foreach (var (name, values) in content.Headers)
                Headers.TryAddWithoutValidation(name, values);
        }

        protected override void SerializeToStream(Stream stream, TransportContext? context, CancellationToken cancellationToken) =>
            _content.CopyTo(new PacedStream(stream, _limit, cancellationToken), context, cancellationToken);

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            SerializeToStream(stream, context, CancellationToken.None);
            return Task.CompletedTask;
        }

        protected override bool TryComputeLength(out long length)
        {
            length = _content.Headers.ContentLength ?? 0;
            return _content.Headers.ContentLength is not null;
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                _content.Dispose();
            base.Dispose(disposing);
        }
    }

    private sealed class PacedStream(Stream stream, RateLimit limit, CancellationToken cancellation) : Stream
    {
        private const int PieceBytes = 64 << 10;

        public override bool CanRead => false;
        public override bool CanSeek => false;
        public override bool CanWrite => true;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            while (buffer.Length > 0)
            {
                var piece = buffer[..Math.Min(buffer.Length, PieceBytes)];
                if (limit.Take(piece.Length) is { Ticks: > 0 } wait && cancellation.WaitHandle.WaitOne(wait))
                    cancellation.ThrowIfCancellationRequested();
                stream.Write(piece);
                buffer = buffer[piece.Length..];
            }
        }

        public override void Flush() => stream.Flush();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
