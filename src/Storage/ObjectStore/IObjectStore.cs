namespace NetdumpCollector.Storage.ObjectStore;

/// <summary>What is needed of a store of objects. Every call blocks until the store has answered; a missing object is an answer.</summary>
/// <exception cref="ObjectStoreException">The store did not do it, of every member.</exception>
/// <exception cref="OperationCanceledException">Whoever made the store wants it to end.</exception>
public interface IObjectStore : IDisposable
{
    /// <summary>Asks whether the bucket is there and may be looked at.</summary>
    void Probe();

    /// <summary>Length and tag of an object; null where there is none.</summary>
    ObjectHead? Head(string key);

    /// <summary>An object's content and tag; null where there is none.</summary>
    /// <param name="key">The object.</param>
    /// <param name="maxBytes">A longer one is an error.</param>
    (byte[] Content, string ETag)? ReadSmall(string key, long maxBytes);

    /// <summary>An object's content from <paramref name="offset"/> on, as long as its tag is <paramref name="eTag"/>.</summary>
    Stream Read(string key, long offset, string eTag);

    /// <summary>Writes a small object.</summary>
    /// <param name="key">The object.</param>
    /// <param name="content">All of it.</param>
    /// <param name="replacing">Null where there must be none yet, else the tag of the one that is replaced.</param>
    /// <returns>False where there is one already, or another one by now.</returns>
    bool Put(string key, ReadOnlyMemory<byte> content, string? replacing);

    /// <summary>Removes an object, if it is there.</summary>
    void Delete(string key);

    /// <summary>Begins an object that is sent in parts.</summary>
    /// <returns>The id of the upload.</returns>
    string BeginUpload(string key);

    /// <summary>Sends a part; one of that number that is there already is replaced.</summary>
    /// <returns>Its tag; null where the store does not know the upload any more.</returns>
    string? UploadPart(string key, string uploadId, int number, ReadOnlyMemory<byte> content, byte[] md5);

    /// <summary>The parts that have arrived; null where the store does not know the upload any more.</summary>
    IReadOnlyList<UploadedPart>? PartsOf(string key, string uploadId);

    /// <summary>Makes the object of its parts; one that is there is replaced.</summary>
    /// <returns>Its tag, or nothing where the store does not say; null where it does not know the upload, or not all of its parts, any more.</returns>
    string? CompleteUpload(string key, string uploadId, IReadOnlyList<UploadedPart> parts);

    /// <summary>Gives up an upload and the room of its parts; one that is not known is none.</summary>
    void AbortUpload(string key, string uploadId);

    /// <summary>Uploads under way whose keys begin with <paramref name="prefix"/>.</summary>
    IEnumerable<ListedUpload> Uploads(string prefix);

    /// <summary>Keys that begin with <paramref name="prefix"/>, in order.</summary>
    IEnumerable<string> Keys(string prefix);
}

/// <summary>Length and tag of an object.</summary>
public readonly record struct ObjectHead(long LengthBytes, string ETag);

/// <summary>A part that has arrived.</summary>
/// <param name="Number">From 1 on.</param>
/// <param name="LengthBytes">Its length.</param>
/// <param name="ETag">Its tag, without quotes: its MD5, but for stores that encrypt by themselves.</param>
public readonly record struct UploadedPart(int Number, long LengthBytes, string ETag);

/// <summary>An upload under way.</summary>
public readonly record struct ListedUpload(string Key, string UploadId, DateTimeOffset BegunAt);

/// <summary>Why a store did not do what it was asked.</summary>
public enum StoreFailure
{
    /// <summary>No connection, no answer, or one that breaks off.</summary>
    Unreachable,

    /// <summary>It says that it has too much to do, or failed inside.</summary>
    Busy,

    /// <summary>No credentials were found.</summary>
    NoCredentials,

    /// <summary>The credentials are wrong, have expired, or may not do this.</summary>
    Denied,

    /// <summary>There is no such bucket.</summary>
    NoBucket,

    /// <summary>The clocks differ too much for a signature to be believed.</summary>
    ClockSkew,

    /// <summary>What arrived is not what was sent.</summary>
    Checksum,

    /// <summary>Anything else that it answered.</summary>
    Other,
}

/// <summary>A store did not do what it was asked; the message says what, why and what to do.</summary>
public sealed class ObjectStoreException(StoreFailure failure, string message, Exception? inner = null) : Exception(message, inner)
{
    public StoreFailure Failure { get; } = failure;
}
