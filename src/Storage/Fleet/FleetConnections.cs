using System.Net.Sockets;
using Npgsql;

namespace NetdumpCollector.Storage.Fleet;

/// <summary>Connections to the catalogue: short time limits, and failures in words without secrets.</summary>
internal static class FleetConnections
{
    /// <summary>Seconds to connect, and for an answer: a catalogue that takes longer is as good as down, and nothing that must be waits for it.</summary>
    private const int PatienceSeconds = 3;

    /// <summary>Connections by which requests over HTTP read; each is an operating system process there.</summary>
    private const int MaxReaders = 4;

    /// <summary>Unless the operator says otherwise, as the library's variable does too: it would try to load Kerberos, and complain on the standard error where that is not installed.</summary>
    private const string NoGss = "GSS Encryption Mode=Disable;";
    private const string GssVariable = "PGGSSENCMODE";

    private const string HasWrongValue = "has a value that it cannot have";

    private static readonly TimeSpan s_closing = TimeSpan.FromMilliseconds(200);

    /// <summary>A way to the catalogue that keeps no connection.</summary>
    /// <exception cref="FleetException">The connection string is wrong, or cannot be read.</exception>
    public static NpgsqlDataSource Source(ClusterAddress address, string application, bool isPooled)
    {
        var options = OptionsOf(address);
        try
        {
            options.ApplicationName = application;
            options.Timeout = PatienceSeconds;
            options.CommandTimeout = PatienceSeconds;
            // A server that does not answer answers no request to cancel either (milliseconds).
            options.CancellationTimeout = 500;
            options.Pooling = isPooled;
            options.IncludeErrorDetail = false;
            options.PersistSecurityInfo = false;
            if (isPooled)
                (options.MinPoolSize, options.MaxPoolSize, options.ConnectionIdleLifetime) = (0, MaxReaders, 30);
            return new NpgsqlDataSourceBuilder(options.ConnectionString).Build();
        }
        catch (Exception e) when (IsFailure(e))
        {
            throw Failure(e, options.ConnectionString);
        }
    }

    /// <summary>What the connection string says.</summary>
    /// <exception cref="FleetException">It has a keyword or value that is none, or cannot be read.</exception>
    public static NpgsqlConnectionStringBuilder OptionsOf(ClusterAddress address)
    {
        try
        {
            // Of two values for one key the later one counts.
            var options = new NpgsqlConnectionStringBuilder($"{(Environment.GetEnvironmentVariable(GssVariable) is null ? NoGss : "")}{address.ConnectionString()}");
            // The library takes any number, and looks a name up before it knows better.
            return options.Port <= ushort.MaxValue ? options : throw WrongKeyword("port", HasWrongValue, null);
        }
        catch (ArgumentException e)
        {
            // What the library says may quote the value.
            throw WrongKeyword(e.ParamName, e.InnerException is KeyNotFoundException ? "is none that PostgreSQL connections have" : HasWrongValue, e);
        }
    }

    /// <summary>Connects, within the time for it.</summary>
    /// <exception cref="FleetException">It cannot be reached.</exception>
    public static async Task<NpgsqlConnection> OpenAsync(NpgsqlDataSource source, ClusterAddress address, CancellationToken cancellation)
    {
        try
        {
            return await source.OpenConnectionAsync(cancellation).AsTask().WaitAsync(TimeSpan.FromSeconds(PatienceSeconds + 1), cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (IsFailure(e) && !cancellation.IsCancellationRequested)
        {
            throw Failure(e, address.ConnectionString());
        }
    }

    /// <summary>Does something with the catalogue and turns its failures into <see cref="FleetException"/>.</summary>
    /// <exception cref="FleetException">It failed, or took too long.</exception>
    /// <exception cref="OperationCanceledException">The caller does not want it any more.</exception>
    public static Task<T> AskAsync<T>(ClusterAddress address, Func<Task<T>> ask, CancellationToken cancellation) => AskAsync(address, ask, patience: null, cancellation);

    /// <summary>The same, for as long as <paramref name="patience"/> says; null is as long as for everything.</summary>
    public static async Task<T> AskAsync<T>(ClusterAddress address, Func<Task<T>> ask, TimeSpan? patience, CancellationToken cancellation)
    {
        try
        {
            // The library's own limit counts from the last byte.
            return await ask().WaitAsync(patience ?? TimeSpan.FromSeconds(2 * PatienceSeconds), cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (IsFailure(e) && !cancellation.IsCancellationRequested)
        {
            throw Failure(e, address.ConnectionString());
        }
    }

    /// <summary>Ends connections. One whose server hangs cannot be closed in order: that is then left to a thread of the pool, and nobody waits for it.</summary>
    public static async ValueTask CloseAsync(params IAsyncDisposable?[] connections)
    {
        var closing = Task.Run(async () =>
        {
            foreach (var connection in connections)
            {
                try
                {
                    if (connection is not null)
                        await connection.DisposeAsync().ConfigureAwait(false);
                }
                catch (Exception e) when (IsFailure(e))
                {
                    // It is closed by that as well.
                }
            }
        });
        _ = await Task.WhenAny(closing, Task.Delay(s_closing)).ConfigureAwait(false);
    }

    private static FleetException WrongKeyword(string? keyword, string reason, Exception? inner) =>
        new($"connection string: the keyword '{keyword}' {reason} (a value with ; in it stands in quotes); correct it in --cluster, or in the file of --cluster-file", inner) { NeedsOperator = true };

    private static bool IsFailure(Exception e) =>
        e is NpgsqlException or SocketException or IOException or TimeoutException or OperationCanceledException or ArgumentException or FormatException or InvalidOperationException or NotSupportedException;

    private static FleetException Failure(Exception e, string connectionString)
    {
        string words = e switch
        {
            PostgresException { SqlState: PostgresErrorCodes.ReadOnlySqlTransaction } => "the database is read-only, as a standby is; name the primary, or all of them with Target Session Attributes=read-write",
            PostgresException { SqlState: PostgresErrorCodes.UndefinedTable or PostgresErrorCodes.UndefinedColumn or PostgresErrorCodes.InvalidSchemaName } schema => $"the schema is not the catalogue's: {schema.MessageText}; run 'netdump-collector db migrate'",
            PostgresException { SqlState: PostgresErrorCodes.LockNotAvailable } => "a table, or the way to change the schema, is locked by somebody else, and is not waited for because others would wait behind; see pg_locks, and try again",
            PostgresException server => $"{server.MessageText} ({server.SqlState})",
            TimeoutException or OperationCanceledException => $"no answer within {PatienceSeconds} s",
            { InnerException: TimeoutException } => $"no answer within {PatienceSeconds} s",
            { InnerException: { } inner } when e is NpgsqlException => $"{e.Message}: {inner.Message}",
            _ => e.Message,
        };
        string? state = (e as PostgresException)?.SqlState;
        return new(ClusterAddress.WithoutSecrets(words.ReplaceLineEndings(" "), connectionString), e)
        {
            // Data that cannot be taken, and rules that it breaks.
            IsRefusal = state is not null && (state.StartsWith("22", StringComparison.Ordinal) || state.StartsWith("23", StringComparison.Ordinal)),
            // Authentication, no such database, rights and objects, a wrong connection string.
            NeedsOperator = state is not null && (state.StartsWith("28", StringComparison.Ordinal) || state.StartsWith("3D", StringComparison.Ordinal) || state.StartsWith("42", StringComparison.Ordinal) || state.StartsWith("3F", StringComparison.Ordinal)) || e is ArgumentException,
        };
    }
}
